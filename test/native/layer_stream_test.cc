// Compressed blobs: every byte counts for the digests, and damage never passes.
#include <doctest/doctest.h>
#include <zstd.h>

#include <memory>

#include "test/native/layer_fixture.h"
#include "test/native/raw_tar.h"

// Unpacking sets owners and attributes that only root may set.
TEST_SUITE_BEGIN("layers" * doctest::skip(geteuid() != 0));

using namespace layer_fixture;
using coracle::Compression;
using raw_tar::gzip;

namespace {

std::string zstd(const std::string& bytes) {
  std::string out(ZSTD_compressBound(bytes.size()), '\0');
  size_t size = ZSTD_compress(out.data(), out.size(), bytes.data(), bytes.size(), 3);
  REQUIRE_FALSE(ZSTD_isError(size));
  out.resize(size);
  return out;
}

// Not compressible, so that members and frames cross block boundaries.
std::string noise(size_t size) {
  std::string text(size, '\0');
  uint32_t state = 1;
  for (char& c : text) c = static_cast<char>((state = state * 1664525u + 1013904223u) >> 24);
  return text;
}

}  // namespace

TEST_CASE("gzip and zstd, in one piece and in many, give the tar's digest") {
  Scratch scratch;
  std::string tar = tar_of({file("f", noise(3000000)), file("g")});
  REQUIRE_FALSE(scratch.apply("plain", tar));
  std::string diff_id = scratch.result.diff_id;
  CHECK(scratch.result.digest == diff_id);
  std::string one = tar.substr(0, 700001);
  std::string two = tar.substr(700001);
  int number = 0;
  auto check = [&](const std::string& blob, Compression compression) {
    std::string name = std::to_string(number++);
    coracle::LayerError error = scratch.apply(name, blob, {}, compression);
    INFO(error.step);
    REQUIRE_FALSE(error);
    CHECK(scratch.result.diff_id == diff_id);
    CHECK(scratch.result.digest != diff_id);
    CHECK(scratch.read(name + "/fs/f") == scratch.read("plain/fs/f"));
  };
  check(gzip(tar), Compression::kGzip);
  check(gzip(one) + gzip("") + gzip(two), Compression::kGzip);
  check(gzip(one) + gzip(two) + std::string(1000, '\0'), Compression::kGzip);
  check(zstd(tar), Compression::kZstd);
  check(zstd(one) + zstd(two), Compression::kZstd);
  const std::string skippable("\x50\x2a\x4d\x18\x03\0\0\0abc", 11);
  check(skippable + zstd(one) + skippable + zstd(two) + skippable, Compression::kZstd);
}

TEST_CASE("what follows the end of the tar counts for the digest") {
  Scratch scratch;
  std::string tar = tar_of({file("f")});
  REQUIRE_FALSE(scratch.apply("a", tar));
  std::string diff_id = scratch.result.diff_id;
  REQUIRE_FALSE(scratch.apply("b", tar + std::string(1 << 20, '\0')));
  CHECK(scratch.result.diff_id != diff_id);
  CHECK(scratch.read("b/fs/f") == "new");
}

TEST_CASE("a blob that ends early is refused, wherever it is cut") {
  Scratch scratch;
  std::string tar = tar_of({file("f", noise(100000))});
  std::string gz = gzip(tar);
  std::string zs = zstd(tar);
  int number = 0;
  for (size_t cut : {size_t{1}, size_t{9}, size_t{50000}, gz.size() - 9, gz.size() - 1}) {
    CAPTURE(cut);
    coracle::LayerError error =
        scratch.apply(std::to_string(number++), gz.substr(0, cut), {}, Compression::kGzip);
    CHECK(error.step == "unpack layer: the gzip data ends early");
  }
  for (size_t cut : {size_t{1}, size_t{50000}, zs.size() - 1}) {
    CAPTURE(cut);
    coracle::LayerError error =
        scratch.apply(std::to_string(number++), zs.substr(0, cut), {}, Compression::kZstd);
    CHECK(error.step == "unpack layer: the zstd data ends early");
  }
}

TEST_CASE("damaged blobs are refused") {
  Scratch scratch;
  std::string gz = gzip(tar_of({file("f", noise(100000))}));
  std::string flipped = gz;
  flipped[gz.size() - 6] ^= 1;  // CRC32
  CHECK(scratch.apply("a", flipped, {}, Compression::kGzip).step ==
        "unpack layer: the gzip checksum is wrong");
  CHECK(scratch.apply("b", gz + "junk", {}, Compression::kGzip).step ==
        "unpack layer: not gzip data");
  CHECK(scratch.apply("c", "", {}, Compression::kGzip).step ==
        "unpack layer: the gzip data is empty");
  CHECK(scratch.apply("d", "not zstd at all", {}, Compression::kZstd)
            .step.starts_with("unpack layer: the zstd data is damaged"));
}

TEST_CASE("a zstd frame is as long as it states, wherever the reader's blocks cut it") {
  constexpr size_t kBlock = 256 << 10;
  Scratch scratch;
  const std::string layer = zstd(tar_of({file("f")}));
  // States 2,561 bytes; its one block is the last, and empty.
  const std::string hollow("\x28\xb5\x2f\xfd\x40\0\x01\x09\x01\0\0", 11);
  for (size_t cut = 0; cut <= hollow.size(); cut++) {
    CAPTURE(cut);
    const auto length = static_cast<uint32_t>(kBlock - layer.size() - 8 - cut);
    std::string skippable("\x50\x2a\x4d\x18");
    skippable.append(reinterpret_cast<const char*>(&length), sizeof length);
    skippable.append(length, '\0');
    coracle::LayerError error =
        scratch.apply(std::to_string(cut), layer + skippable + hollow, {}, Compression::kZstd);
    CHECK(error.step.starts_with("unpack layer: the zstd data is damaged"));
    const std::string whole = std::to_string(cut) + "-whole";
    CHECK_FALSE(scratch.apply(whole, layer + skippable + zstd("tail"), {}, Compression::kZstd));
  }
}

TEST_CASE("a gzip bomb stops at the limit") {
  Scratch scratch;
  scratch.max_bytes = 1 << 20;
  coracle::LayerError error = scratch.apply(
      "a", gzip(tar_of({file("zeros", std::string(8 << 20, '\0'))})), {}, Compression::kGzip);
  CHECK(error.code == EFBIG);
}
