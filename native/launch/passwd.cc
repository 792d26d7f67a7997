#include "native/launch/passwd.h"

#include <errno.h>
#include <string.h>
#include <unistd.h>

namespace coracle {
namespace {

// A container must not keep its launch busy with a file without end.
constexpr size_t kMaxFile = 16 * 1024 * 1024;

// Cuts a file into fields with a fixed buffer, however long its lines are.
class Fields {
 public:
  explicit Fields(int fd) : fd_(fd) {}

  // Reads up to the next ':', newline or end, or ',' with `list`, and returns which it was
  // (0: the end). A field that does not fit into `capacity` with its NUL comes out empty.
  char next(char* out, size_t capacity, bool list = false) {
    size_t size = 0;
    bool fits = true;
    char c = get();
    while (c != 0 && c != ':' && c != '\n' && !(list && c == ',')) {
      if (size + 1 < capacity) {
        out[size++] = c;
      } else {
        fits = false;
      }
      c = get();
    }
    out[fits ? size : 0] = 0;
    return c;
  }

  void skip_line(char last) {
    while (last != 0 && last != '\n') last = get();
  }

  // Of read(2), 0 where all was read that there is.
  int error() const { return error_; }

 private:
  // 0 at the end, for good. A NUL inside the file, or its sheer size, ends it, too.
  char get() {
    if (begin_ == end_) fill();
    char c = begin_ == end_ ? 0 : buffer_[begin_++];
    if (c == 0) ended_ = true;
    return ended_ ? 0 : c;
  }

  void fill() {
    ssize_t got = 0;
    do {
      if (!ended_ && total_ < kMaxFile) got = read(fd_, buffer_, sizeof(buffer_));
    } while (got < 0 && errno == EINTR);
    if (got < 0) error_ = errno;
    begin_ = 0;
    end_ = got > 0 ? static_cast<size_t>(got) : 0;
    total_ += end_;
  }

  int fd_;
  size_t begin_ = 0, end_ = 0, total_ = 0;
  bool ended_ = false;
  int error_ = 0;
  char buffer_[4096];
};

}  // namespace

bool GroupList::add(uint32_t gid) {
  for (uint16_t i = 0; i < count; ++i) {
    if (ids[i] == gid) return true;
  }
  if (count == kMaxGroups) return false;
  ids[count++] = gid;
  return true;
}

bool parse_id(const char* text, uint32_t* id) {
  uint64_t value = 0;
  if (*text == 0) return false;
  for (; *text != 0; ++text) {
    if (*text < '0' || *text > '9') return false;
    value = value * 10 + static_cast<uint64_t>(*text - '0');
    if (value >= UINT32_MAX) return false;
  }
  *id = static_cast<uint32_t>(value);
  return true;
}

// name:password:uid:gid:comment:home:shell
bool find_user(int fd, const char* name, uint32_t uid, PasswdEntry* entry) {
  Fields fields(fd);
  char text[16];
  char last;
  do {
    last = fields.next(entry->name, sizeof(entry->name));
    bool matches = name == nullptr || strcmp(entry->name, name) == 0;
    if (last == ':') last = fields.next(text, sizeof(text));
    if (last == ':') last = fields.next(text, sizeof(text));
    bool valid = last == ':' && parse_id(text, &entry->uid);
    if (valid) {
      last = fields.next(text, sizeof(text));
      valid = parse_id(text, &entry->gid);
    }
    if (valid && matches && (name != nullptr || entry->uid == uid)) {
      entry->home[0] = 0;
      if (last == ':') last = fields.next(text, sizeof(text));
      if (last == ':') fields.next(entry->home, sizeof(entry->home));
      return true;
    }
    fields.skip_line(last);
  } while (last != 0);
  errno = fields.error();
  return false;
}

// name:password:gid:member,member
bool find_group(int fd, const char* name, uint32_t* gid) {
  Fields fields(fd);
  char text[256];
  char last;
  do {
    last = fields.next(text, sizeof(text));
    bool matches = strcmp(text, name) == 0;
    if (last == ':') last = fields.next(text, sizeof(text));
    if (last == ':') {
      last = fields.next(text, sizeof(text));
      if (matches && parse_id(text, gid)) return true;
    }
    fields.skip_line(last);
  } while (last != 0);
  errno = fields.error();
  return false;
}

bool add_member_groups(int fd, const char* user, GroupList* groups) {
  Fields fields(fd);
  char text[256];
  char last;
  do {
    uint32_t gid = 0;
    bool valid = false;
    last = fields.next(text, sizeof(text));
    if (last == ':') last = fields.next(text, sizeof(text));
    if (last == ':') {
      last = fields.next(text, sizeof(text));
      valid = parse_id(text, &gid) && last == ':';
    }
    if (valid) {
      do {
        last = fields.next(text, sizeof(text), true);
        if (text[0] != 0 && strcmp(text, user) == 0 && !groups->add(gid)) {
          errno = E2BIG;
          return false;
        }
      } while (last == ',');
    }
    fields.skip_line(last);
  } while (last != 0);
  errno = fields.error();
  return errno == 0;
}

}  // namespace coracle
