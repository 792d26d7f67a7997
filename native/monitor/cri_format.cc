#include "native/monitor/cri_format.h"

#include <string.h>

#include "native/monitor/copy_text.h"
#include "native/monitor/find_newline.h"

namespace coracle {

void CriFramer::open(Stream stream, size_t max_line) {
  stream_ = stream;
  max_line_ = max_line < kMinLine ? kMinLine : max_line > kMaxLine ? kMaxLine : max_line;
  kept_.resize(max_line_ + 1);
  kept_size_ = 0;
}

void CriFramer::release() {
  kept_.release();
  kept_size_ = 0;
}

// One framed line; its content is `head` followed by `tail`.
void CriFramer::put(const char* stamp, char tag, const char* head, size_t head_size,
                    const char* tail, size_t tail_size, LineSink& sink) const {
  char* line = sink.line(kFrameSize + head_size + tail_size);
  memcpy(line, stamp, kTimestampSize);
  line += kTimestampSize;
  memcpy(line, stream_ == Stream::kStdout ? " stdout " : " stderr ", 8);
  line[8] = tag;
  line[9] = ' ';
  line += 10;
  copy_text(line, head, head_size);
  copy_text(line + head_size, tail, tail_size);
  line[head_size + tail_size] = '\n';
}

// A line ends here: its last part is `bytes`, without the newline.
void CriFramer::end_line(const char* stamp, const char* bytes, size_t size, LineSink& sink) {
  const char* head = reinterpret_cast<const char*>(kept_size_ != 0 ? kept_.data() : nullptr);
  size_t head_size = kept_size_;
  kept_size_ = 0;
  if (size != 0 && bytes[size - 1] == '\r') {
    --size;
  } else if (size == 0 && head_size != 0 && head[head_size - 1] == '\r') {
    --head_size;
  }
  while (head_size + size > max_line_) {
    const size_t from_head = head_size < max_line_ ? head_size : max_line_;
    const size_t from_tail = max_line_ - from_head;
    put(stamp, 'P', head, from_head, bytes, from_tail, sink);
    head += from_head;
    head_size -= from_head;
    bytes += from_tail;
    size -= from_tail;
  }
  put(stamp, 'F', head, head_size, bytes, size, sink);
}

// The line goes on: writes full pieces and keeps the rest. max_line bytes are kept whole, since
// a newline may follow them, and so is a CR behind them.
void CriFramer::keep(const char* stamp, const char* bytes, size_t size, LineSink& sink) {
  char* kept = reinterpret_cast<char*>(kept_.data());
  if (kept == nullptr) {
    // No memory for an unfinished line: it goes out as a piece of its own.
    while (size != 0) {
      const size_t piece = size < max_line_ ? size : max_line_;
      put(stamp, 'P', bytes, piece, nullptr, 0, sink);
      bytes += piece;
      size -= piece;
    }
    return;
  }
  while (true) {
    const size_t total = kept_size_ + size;
    if (total == 0) return;
    const char last = size != 0 ? bytes[size - 1] : kept[kept_size_ - 1];
    if (total < max_line_ + 1 || (total == max_line_ + 1 && last == '\r')) break;
    const size_t from_kept = kept_size_ < max_line_ ? kept_size_ : max_line_;
    const size_t from_bytes = max_line_ - from_kept;
    put(stamp, 'P', kept, from_kept, bytes, from_bytes, sink);
    memmove(kept, kept + from_kept, kept_size_ - from_kept);
    kept_size_ -= from_kept;
    bytes += from_bytes;
    size -= from_bytes;
  }
  memcpy(kept + kept_size_, bytes, size);
  kept_size_ += size;
}

void CriFramer::feed(const char* stamp, const char* bytes, size_t size, LineSink& sink) {
  const char* const end = bytes + size;
  while (bytes < end) {
    const char* newline = find_newline(bytes, end);
    if (newline == end) {
      keep(stamp, bytes, static_cast<size_t>(end - bytes), sink);
      return;
    }
    end_line(stamp, bytes, static_cast<size_t>(newline - bytes), sink);
    bytes = newline + 1;
  }
}

void CriFramer::finish(const char* stamp, LineSink& sink) {
  if (kept_size_ == 0) return;
  const char* kept = reinterpret_cast<const char*>(kept_.data());
  while (kept_size_ > max_line_) {
    put(stamp, 'P', kept, max_line_, nullptr, 0, sink);
    kept += max_line_;
    kept_size_ -= max_line_;
  }
  put(stamp, 'P', kept, kept_size_, nullptr, 0, sink);
  kept_size_ = 0;
  kept_.release();
}

}  // namespace coracle
