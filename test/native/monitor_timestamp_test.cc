#include <doctest/doctest.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include <string>

#include "native/monitor/timestamp.h"

namespace {

std::string reference(uint64_t ns) {
  const auto second = static_cast<time_t>(ns / 1'000'000'000);
  tm parts{};
  gmtime_r(&second, &parts);
  char date[32];
  strftime(date, sizeof(date), "%Y-%m-%dT%H:%M:%S", &parts);
  char text[64];
  snprintf(text, sizeof(text), "%s.%09lluZ", date,
           static_cast<unsigned long long>(ns % 1'000'000'000));
  return text;
}

std::string formatted(coracle::Timestamp& timestamp, uint64_t ns) {
  return std::string(timestamp.format(ns), coracle::kTimestampSize);
}

}  // namespace

TEST_CASE("timestamps agree with strftime over leap days, centuries and year ends") {
  coracle::Timestamp timestamp;
  const uint64_t seconds[] = {0,          1,          68169599,   68169600,   94694399,
                              951782399,  951782400,  951868800,  978307199,  1709164800,
                              1709251199, 1709251200, 1795334400, 4107542399, 4107542400,
                              4107628800, 7258118399, 7258118400};
  for (const uint64_t second : seconds) {
    CHECK(formatted(timestamp, second * 1'000'000'000 + 7) ==
          reference(second * 1'000'000'000 + 7));
  }
  uint64_t random = 88172645463325252u;
  for (int round = 0; round < 20000; ++round) {
    random ^= random << 13;
    random ^= random >> 7;
    random ^= random << 17;
    const uint64_t ns = random % (8'000'000'000u * 1'000'000'000u);
    REQUIRE(formatted(timestamp, ns) == reference(ns));
  }
}

TEST_CASE("the kept second does not leak into another one") {
  coracle::Timestamp timestamp;
  CHECK(formatted(timestamp, 1795334400123456789u) == "2026-11-22T08:00:00.123456789Z");
  CHECK(formatted(timestamp, 1795334400000000001u) == "2026-11-22T08:00:00.000000001Z");
  CHECK(formatted(timestamp, 1795334399999999999u) == "2026-11-22T07:59:59.999999999Z");
  CHECK(formatted(timestamp, 1795334400123456789u) == "2026-11-22T08:00:00.123456789Z");
}
