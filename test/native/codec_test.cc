#include <doctest/doctest.h>

#include "native/plan/protocol.h"
#include "test/native/plan_fixture.h"

using namespace coracle;
using namespace coracle::test;

TEST_CASE("a message comes back as it was written") {
  EntryStatus status;
  status.id = str("c1");
  status.state = EntryState::kExited;
  status.pid = 77;
  status.finished_at = 0x1122334455667788;
  status.wait_status = -9;
  auto bytes = encoded(status);
  EntryStatus back;
  REQUIRE(decode(view(bytes), back));
  CHECK(std::string(back.id.data) == "c1");
  CHECK(back.state == EntryState::kExited);
  CHECK(back.pid == 77);
  CHECK(back.finished_at == 0x1122334455667788);
  CHECK(back.wait_status == -9);
}

TEST_CASE("a message that is cut at any byte is refused and reads no byte too far") {
  Mount step{str("tmpfs"), str("tmpfs"), str("/run"), 6, str("size=1m")};
  auto bytes = encoded(step);
  for (size_t size = 0; size < bytes.size(); ++size) {
    std::vector<uint8_t> cut(bytes.begin(), bytes.begin() + static_cast<long>(size));
    cut.shrink_to_fit();  // so that AddressSanitizer sees an overrun
    Mount back;
    CHECK_FALSE(decode(view(cut), back));
  }
  bytes.push_back(0);
  Mount back;
  CHECK_FALSE(decode(view(bytes), back));
}

TEST_CASE("fields that came later may be missing as a whole, and stay what they are") {
  StartReply reply;
  reply.started_at = 5;
  reply.exec_ns = 7;
  auto bytes = encoded(reply);
  StartReply back;
  REQUIRE(decode(view(bytes), back));
  CHECK(back.exec_ns == 7);
  bytes.resize(sizeof(reply.started_at));
  StartReply older;
  REQUIRE(decode(view(bytes), older));
  CHECK(older.started_at == 5);
  CHECK(older.exec_ns == 0);
  bytes.push_back(1);
  StartReply torn;
  CHECK_FALSE(decode(view(bytes), torn));
}

TEST_CASE("a string must end in NUL and hold no other") {
  auto bytes = strings({"abc"});
  auto inner = bytes, unended = bytes;
  inner[5] = 0;
  unended.back() = 'x';
  Str out;
  Reader good(bytes.data(), bytes.size());
  good(out);
  CHECK(good.ok());
  Reader with_nul(inner.data(), inner.size());
  with_nul(out);
  CHECK_FALSE(with_nul.ok());
  CHECK(out.size == 0);
  Reader without_end(unended.data(), unended.size());
  without_end(out);
  CHECK_FALSE(without_end.ok());
}

TEST_CASE("lengths near the limit of 32 bits do not wrap") {
  std::vector<uint8_t> bytes = {0xff, 0xff, 0xff, 0xff, 'a', 0};
  Str text;
  Reader strings_reader(bytes.data(), bytes.size());
  strings_reader(text);
  CHECK_FALSE(strings_reader.ok());
  Bytes raw;
  Reader bytes_reader(bytes.data(), bytes.size());
  bytes_reader(raw);
  CHECK_FALSE(bytes_reader.ok());
  CHECK(raw.data == nullptr);
}

TEST_CASE("a writer without room says so and writes nothing outside") {
  uint8_t buffer[8] = {1, 1, 1, 1, 1, 1, 1, 1};
  Writer writer(buffer, 4);
  writer(str("hello"));
  CHECK_FALSE(writer.ok());
  CHECK(writer.size() == 10);
  CHECK(buffer[4] == 1);
}
