// Bounds-checked little-endian encoding, shared by the addon (writer) and the monitor (reader).
//
// A message type lists its fields once, in a `fields(archive, self)` function; Writer and Reader
// are the two archives. Strings are encoded as length, bytes, NUL, so that a Reader hands out
// C strings that point into the message: decoding copies and allocates nothing.
#ifndef CORACLE_NATIVE_PLAN_CODEC_H_
#define CORACLE_NATIVE_PLAN_CODEC_H_

#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <type_traits>

namespace coracle {

// A string inside a message. `data[size]` is NUL and `data` holds no other NUL after decoding.
struct Str {
  const char* data = "";
  uint32_t size = 0;
  bool empty() const { return size == 0; }
};

// Raw bytes inside a message (a BPF program, a nested list).
struct Bytes {
  const uint8_t* data = nullptr;
  uint32_t size = 0;
};

template <typename T>
concept Scalar = std::is_integral_v<T> || std::is_enum_v<T>;

// Appends to a caller's buffer. With a null buffer it only measures. `ok()` is false once the
// buffer was too small.
class Writer {
 public:
  Writer() = default;
  Writer(uint8_t* buffer, size_t capacity) : buffer_(buffer), capacity_(capacity) {}

  template <Scalar Int>
  void operator()(const Int& value) {
    put(&value, sizeof(value));
  }
  void operator()(const Str& value) {
    (*this)(value.size);
    put(value.data, value.size);
    put("", 1);
  }
  void operator()(const Bytes& value) {
    (*this)(value.size);
    put(value.data, value.size);
  }
  template <Scalar Int>
  void later(const Int& value) {
    (*this)(value);
  }
  void put(const void* bytes, size_t count) {
    if (buffer_ != nullptr && size_ + count <= capacity_ && count != 0) {
      memcpy(buffer_ + size_, bytes, count);
    }
    size_ += count;
  }

  // Bytes needed so far, whether or not they fitted.
  size_t size() const { return size_; }
  bool ok() const { return buffer_ == nullptr || size_ <= capacity_; }

 private:
  uint8_t* buffer_ = nullptr;
  size_t capacity_ = 0;
  size_t size_ = 0;
};

// Reads what Writer wrote. Any overrun or malformed string makes `ok()` false for good, and
// everything read from then on is zero or empty: check once, at the end.
class Reader {
 public:
  Reader(const uint8_t* bytes, size_t size) : next_(bytes), end_(bytes + size) {}

  template <Scalar Int>
  void operator()(Int& value) {
    const uint8_t* bytes = take(sizeof(value));
    if (bytes != nullptr) {
      memcpy(&value, bytes, sizeof(value));
    } else {
      value = Int{};
    }
  }
  void operator()(Str& value) {
    uint32_t size = 0;
    (*this)(size);
    const uint8_t* bytes = size < UINT32_MAX ? take(size_t{size} + 1) : nullptr;
    if (bytes == nullptr || bytes[size] != 0 || (size != 0 && memchr(bytes, 0, size) != nullptr)) {
      fail();
      value = Str{};
      return;
    }
    value = Str{reinterpret_cast<const char*>(bytes), size};
  }
  void operator()(Bytes& value) {
    uint32_t size = 0;
    (*this)(size);
    const uint8_t* bytes = take(size);
    value = bytes != nullptr ? Bytes{bytes, size} : Bytes{};
  }

  // A field at the end of a message that a writer of an older version does not know: it stays as it
  // is where the message ends before it.
  template <Scalar Int>
  void later(Int& value) {
    if (!done()) (*this)(value);
  }

  bool ok() const { return ok_; }
  bool done() const { return next_ == end_; }
  void fail() {
    ok_ = false;
    next_ = end_;
  }

 private:
  const uint8_t* take(size_t count) {
    if (static_cast<size_t>(end_ - next_) < count) {
      fail();
      return nullptr;
    }
    const uint8_t* bytes = next_;
    next_ += count;
    return bytes;
  }

  const uint8_t* next_;
  const uint8_t* end_;
  bool ok_ = true;
};

// Encodes or decodes one message: a type T with a function `fields(archive, self, T*)`.
template <typename T>
void encode(Writer& writer, const T& message) {
  fields(writer, message, static_cast<T*>(nullptr));
}
// Reads a message and leaves the reader after it; check `reader.ok()`.
template <typename T>
void decode(Reader& reader, T& message) {
  fields(reader, message, static_cast<T*>(nullptr));
}
// True when `bytes` hold exactly one T.
template <typename T>
bool decode(Bytes bytes, T& message) {
  Reader reader(bytes.data, bytes.size);
  decode(reader, message);
  return reader.ok() && reader.done();
}

}  // namespace coracle

#endif  // CORACLE_NATIVE_PLAN_CODEC_H_
