#include <doctest/doctest.h>

#include <string>
#include <vector>

#include "native/monitor/cri_format.h"

using coracle::CriFramer;
using coracle::LineSink;
using coracle::Stream;

namespace {

constexpr char kStamp[] = "2026-11-22T08:00:00.123456789Z";
const std::string kOut = std::string(kStamp) + " stdout ";

struct Framed {
  explicit Framed(size_t max_line = 16384, Stream stream = Stream::kStdout) {
    framer.open(stream, max_line);
  }
  static void collect(void* context, const char* lines, size_t size) {
    auto* self = static_cast<Framed*>(context);
    self->text.append(lines, size);
    self->whole_lines = self->whole_lines && size != 0 && lines[size - 1] == '\n';
  }
  Framed& feed(const std::string& bytes) {
    LineSink sink(buffer.data(), buffer.size(), collect, this);
    framer.feed(kStamp, bytes.data(), bytes.size(), sink);
    sink.flush();
    return *this;
  }
  std::string finish() {
    LineSink sink(buffer.data(), buffer.size(), collect, this);
    framer.finish(kStamp, sink);
    sink.flush();
    CHECK(whole_lines);
    return text;
  }

  std::vector<char> buffer = std::vector<char>(2 * 64 * 1024);
  CriFramer framer;
  std::string text;
  bool whole_lines = true;
};

}  // namespace

TEST_CASE("a line is time, stream, F, content") {
  CHECK(Framed().feed("hello\n").finish() == kOut + "F hello\n");
  CHECK(Framed(64, Stream::kStderr).feed("hello\n").finish() ==
        std::string(kStamp) + " stderr F hello\n");
}

TEST_CASE("an empty line is F with empty content") {
  CHECK(Framed().feed("\n\n").finish() == kOut + "F \n" + kOut + "F \n");
}

TEST_CASE("a carriage return before the newline is stripped, also across reads") {
  CHECK(Framed().feed("a\r\n").finish() == kOut + "F a\n");
  CHECK(Framed().feed("a\r").feed("\n").finish() == kOut + "F a\n");
  CHECK(Framed().feed("\r").feed("\n").finish() == kOut + "F \n");
  CHECK(Framed().feed("a\rb\r\r\n").finish() == kOut + "F a\rb\r\n");
}

TEST_CASE("a rest without a newline is written as P at the end") {
  CHECK(Framed().feed("a\nrest").finish() == kOut + "F a\n" + kOut + "P rest\n");
  CHECK(Framed().feed("").finish().empty());
}

TEST_CASE("long lines are split; all pieces but the last are P") {
  const std::string piece(16, 'x');
  CHECK(Framed(16).feed(piece + "\n").finish() == kOut + "F " + piece + "\n");
  CHECK(Framed(16).feed(piece + "\r\n").finish() == kOut + "F " + piece + "\n");
  CHECK(Framed(16).feed(piece).feed("\r").feed("\n").finish() == kOut + "F " + piece + "\n");
  CHECK(Framed(16).feed(piece + "y\n").finish() == kOut + "P " + piece + "\n" + kOut + "F y\n");
  CHECK(Framed(16).feed(piece + piece + "\n").finish() ==
        kOut + "P " + piece + "\n" + kOut + "F " + piece + "\n");
  CHECK(Framed(16).feed(piece + piece + "z").finish() ==
        kOut + "P " + piece + "\n" + kOut + "P " + piece + "\n" + kOut + "P z\n");
}

TEST_CASE("the result does not depend on how reads cut the bytes") {
  uint64_t random = 88172645463325252u;
  const auto next = [&](uint64_t below) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    return random % below;
  };
  for (int round = 0; round < 400; ++round) {
    std::string bytes;
    for (uint64_t size = next(400); bytes.size() < size;) {
      bytes += "ab\r\n\n\rcdefghijklmnopqrstuvwxyz"[next(29)];
    }
    const size_t max_line = 16 + next(40);
    const std::string whole = Framed(max_line).feed(bytes).finish();
    Framed cut(max_line);
    for (size_t at = 0; at < bytes.size();) {
      const size_t size = 1 + next(max_line * 2);
      cut.feed(bytes.substr(at, size));
      at += size;
    }
    REQUIRE(cut.finish() == whole);
  }
}

TEST_CASE("content comes back whole from its pieces") {
  std::string bytes;
  for (int line = 0; line < 3000; ++line) bytes += std::string(line % 97, 'a' + line % 26) + "\n";
  const std::string text = Framed(40).feed(bytes).finish();
  std::string content;
  for (size_t at = 0; at < text.size();) {
    const size_t end = text.find('\n', at);
    const std::string line = text.substr(at, end - at);
    REQUIRE(line.substr(0, kOut.size()) == kOut);
    const char tag = line[kOut.size()];
    REQUIRE((tag == 'F' || tag == 'P'));
    content += line.substr(kOut.size() + 2);
    if (tag == 'F') content += '\n';
    at = end + 1;
  }
  CHECK(content == bytes);
}
