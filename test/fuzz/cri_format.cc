// Output of a container, cut into reads at will: its CRI lines must not depend on the cuts, and
// hold every byte of it once, in order. The second half of an input says where the cuts are.
#include "native/monitor/cri_format.h"

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

using namespace coracle;

namespace {

constexpr char kStamp[] = "2026-11-22T08:00:00.123456789Z";
static_assert(sizeof(kStamp) - 1 == kTimestampSize);
constexpr std::string_view kHead = "2026-11-22T08:00:00.123456789Z stderr ";

void expect(bool holds) {
  if (!holds) __builtin_trap();
}

void collect(void* text, const char* lines, size_t size) {
  expect(size != 0 && lines[size - 1] == '\n');
  static_cast<std::string*>(text)->append(lines, size);
}

// `bytes` in reads of the sizes that `cuts` names, which are used over and over; all at once
// without cuts.
std::string framed(size_t max_line, std::string_view bytes, std::string_view cuts) {
  CriFramer framer;
  framer.open(Stream::kStderr, max_line);
  std::string text;
  // Of exactly the size that a sink must have.
  std::vector<char> buffer(framer.max_line() + kFrameSize);
  LineSink sink(buffer.data(), buffer.size(), collect, &text);
  for (size_t cut = 0; !bytes.empty(); ++cut) {
    const size_t wanted =
        cuts.empty() ? bytes.size() : static_cast<uint8_t>(cuts[cut % cuts.size()]) + 1u;
    // A copy, so that a read past its end is one past the end of an allocation.
    const std::vector<char> read(bytes.begin(), bytes.begin() + std::min(wanted, bytes.size()));
    framer.feed(kStamp, read.data(), read.size(), sink);
    bytes.remove_prefix(read.size());
  }
  framer.finish(kStamp, sink);
  sink.flush();
  framer.release();
  return text;
}

// What the lines hold, "\r\n" as "\n".
std::string content(std::string_view text, size_t max_line) {
  std::string bytes;
  while (!text.empty()) {
    const std::string_view line = text.substr(0, text.find('\n'));
    expect(line.substr(0, kHead.size()) == kHead);
    expect(line.size() >= kHead.size() + 2 && line[kHead.size() + 1] == ' ');
    const char tag = line[kHead.size()];
    const std::string_view piece = line.substr(kHead.size() + 2);
    expect(piece.size() <= max_line && (tag == 'F' || (tag == 'P' && !piece.empty())));
    bytes += piece;
    if (tag == 'F') bytes += '\n';
    text.remove_prefix(line.size() + 1);
  }
  return bytes;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  if (size < 2) return 0;
  const size_t max_line = kMinLine + data[0] % 64;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  const std::string_view bytes = input.substr(0, input.size() / 2);
  const std::string whole = framed(max_line, bytes, {});
  expect(framed(max_line, bytes, input.substr(bytes.size())) == whole);
  std::string wanted;
  for (size_t at = 0; at < bytes.size(); ++at) {
    if (bytes[at] != '\r' || at + 1 == bytes.size() || bytes[at + 1] != '\n') wanted += bytes[at];
  }
  expect(content(whole, max_line) == wanted);
  return 0;
}
