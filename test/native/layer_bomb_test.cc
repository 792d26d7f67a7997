// Layers that ask for more memory, time or disk than they are worth: refused, at little cost.
#include <doctest/doctest.h>
#include <zstd.h>

#include <fstream>

#include "native/addon/decompress_file.h"
#include "test/native/layer_fixture.h"
#include "test/native/raw_tar.h"

// Unpacking sets owners and attributes that only root may set.
TEST_SUITE_BEGIN("layers" * doctest::skip(geteuid() != 0));

using namespace layer_fixture;
using namespace raw_tar;
using coracle::Compression;

namespace {

constexpr size_t kMiB = 1 << 20;

// Resident memory, KiB: the highest since reset_peak().
long peak_kib() {
  std::ifstream status("/proc/self/status");
  std::string line;
  while (std::getline(status, line)) {
    if (line.starts_with("VmHWM:")) return std::stol(line.substr(6));
  }
  return 0;
}

void reset_peak() { std::ofstream("/proc/self/clear_refs") << "5"; }

struct Cost {
  long grown_kib;
  coracle::LayerError error;
};

// Applies a gzip blob and says what that took.
Cost cost_of(Scratch& scratch, const std::string& name, const std::string& blob) {
  reset_peak();
  const long before = peak_kib();
  coracle::LayerError error = scratch.apply(name, blob, {}, Compression::kGzip);
  return {peak_kib() - before, std::move(error)};
}

std::string repeated(const std::string& text, size_t bytes) {
  std::string out;
  while (out.size() < bytes) out += text;
  return out;
}

}  // namespace

TEST_CASE("ten million empty entries stop at the limit") {
  Scratch scratch;
  const std::string piece = repeated(header("same", '0', octal(0)), kMiB);
  const std::string blob = bomb("", piece, 5000);
  const Cost cost = cost_of(scratch, "a", blob);
  CHECK(cost.error.code == EFBIG);
  CHECK(cost.error.step == "unpack layer: more than 10000 entries");
  CHECK(cost.grown_kib < 32 * 1024);
}

TEST_CASE("directories that a name implies count, too") {
  Scratch scratch;
  scratch.max_entries = 100;
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += "d/";
  const coracle::LayerError error = scratch.apply("a", tar_of({file(deep + "f")}));
  CHECK(error.code == EFBIG);
  CHECK(error.step == "unpack layer: too many directories that are not listed");
}

TEST_CASE("symlinks make no tree that is deeper than names may be") {
  Scratch scratch;
  std::string deep;
  for (int i = 0; i < 200; ++i) deep += "d/";
  const coracle::LayerError direct = scratch.apply(
      "a",
      tar_of({dir(deep), symbolic("s", deep.substr(0, deep.size() - 1)), file("s/" + deep + "f")}));
  CHECK(direct.code == ENAMETOOLONG);
  const coracle::LayerError dangling =
      scratch.apply("b", tar_of({symbolic("s", deep + deep + "end"), file("s/f")}));
  CHECK(dangling.code == ENAMETOOLONG);
}

TEST_CASE("extended headers and GNU names of gigabytes are not read into memory") {
  Scratch scratch;
  scratch.max_bytes = uint64_t{16} << 30;
  const std::string zeros(kMiB, '\0');
  int number = 0;
  for (char type : {'x', 'g', 'L', 'K'}) {
    CAPTURE(type);
    const Cost cost = cost_of(scratch, std::to_string(number++),
                              bomb(header("h", type, octal(uint64_t{4} << 30)), zeros, 4096));
    CHECK(cost.error.step.starts_with("unpack layer: "));
    CHECK(cost.grown_kib < 32 * 1024);
  }
  // Many that are each small enough.
  const std::string one =
      header("h", 'x', octal(kMiB)) + padded(record("comment", std::string(kMiB - 16, 'c')));
  const Cost chain = cost_of(scratch, "chain", bomb("", one, 100));
  CHECK(chain.error);
  CHECK(chain.grown_kib < 64 * 1024);
}

TEST_CASE("sparse maps of gigabytes are not read into memory") {
  Scratch scratch;
  scratch.max_bytes = uint64_t{16} << 30;
  const std::string sparse = record("GNU.sparse.major", "1") + record("GNU.sparse.minor", "0") +
                             record("GNU.sparse.name", "f") +
                             record("GNU.sparse.realsize", "1000") + record("size", "4294967296");
  const std::string start = header("x", 'x', octal(sparse.size())) + padded(sparse) +
                            header("f", '0', octal(0)) + "1000000000\n";
  const Cost pax = cost_of(scratch, "pax", bomb(start, repeated("0\n0\n", kMiB), 4096));
  CHECK(pax.error);
  CHECK(pax.grown_kib < 512 * 1024);

  // Old GNU format: a chain of extension blocks, each with 21 pieces and "there is more".
  std::string block;
  for (int i = 0; i < 21; ++i) block += octal(0) + '\0' + octal(0) + '\0';
  block += '\1';
  block.resize(512, '\0');
  std::string head = header("f", 'S', octal(0));
  head.replace(257, 8, "ustar  \0", 8);
  head.replace(386, 96, block.substr(0, 96));
  head[482] = '\1';
  sum_up(&head);
  const Cost gnu = cost_of(scratch, "gnu", bomb(head, repeated(block, kMiB), 4096));
  CHECK(gnu.error.code == EFBIG);
  CHECK(gnu.error.step == "unpack layer: the headers of one entry are too large");
  CHECK(gnu.grown_kib < 512 * 1024);
}

TEST_CASE("sizes that are negative or larger than the archive are refused") {
  Scratch scratch;
  CHECK(scratch.apply("a", header("f", '0', base256(-512)) + std::string(1024, '\0')));
  CHECK(scratch.apply("b", header("f", '0', base256(int64_t{1} << 40)) + std::string(1024, '\0'))
            .code == EFBIG);
  scratch.max_bytes = UINT64_MAX;
  CHECK(scratch.apply("c", header("f", '0', base256(INT64_MAX)) + std::string(1024, '\0')));
}

TEST_CASE("a gigabyte of zeros stops at the limit, in small memory") {
  Scratch scratch;
  const std::string zeros(kMiB, '\0');
  const Cost cost =
      cost_of(scratch, "a", bomb(header("f", '0', octal(uint64_t{1} << 30)), zeros, 1024));
  CHECK(cost.error.code == EFBIG);
  CHECK(cost.grown_kib < 32 * 1024);
  // The file itself fits, what follows the archive does not.
  const Cost tail = cost_of(scratch, "b", bomb(tar_of({file("f")}), zeros, 1024));
  CHECK(tail.error.step == "unpack layer: more than 67108864 bytes uncompressed");
}

TEST_CASE("a zstd window of gigabytes is refused before it is allocated") {
  Scratch scratch;
  const std::string tar = tar_of({file("f", std::string(100000, 'x'))});
  const auto compressed = [&](int window) {
    ZSTD_CCtx* context = ZSTD_createCCtx();
    ZSTD_CCtx_setParameter(context, ZSTD_c_windowLog, window);
    std::string out(ZSTD_compressBound(tar.size()), '\0');
    // In pieces, so that the frame does not say how little it holds.
    ZSTD_inBuffer in{tar.data(), tar.size(), 0};
    ZSTD_outBuffer to{out.data(), out.size(), 0};
    ZSTD_compressStream2(context, &to, &in, ZSTD_e_continue);
    ZSTD_compressStream2(context, &to, &in, ZSTD_e_end);
    ZSTD_freeCCtx(context);
    out.resize(to.pos);
    return out;
  };
  // The frame header of the second is the first's with another window descriptor (RFC 8878, 3.1.1).
  std::string huge = compressed(27);
  CHECK_FALSE(scratch.apply("a", huge, {}, Compression::kZstd));
  huge[5] = static_cast<char>((31 - 10) << 3);
  reset_peak();
  const long before = peak_kib();
  CHECK(scratch.apply("b", huge, {}, Compression::kZstd)
            .step.starts_with(
                "unpack layer: the zstd data is damaged: Frame requires too much memory"));
  CHECK(peak_kib() - before < 32 * 1024);
}

TEST_CASE("a decompressed file is whole or not there") {
  Scratch scratch;
  const std::string plain = repeated("0123456789", 3 * kMiB);
  std::ofstream(scratch.root / "in", std::ios::binary) << gzip(plain);
  coracle::DecompressOptions options;
  options.blob = (scratch.root / "in").string();
  options.compression = Compression::kGzip;
  options.target = (scratch.root / "out").string();
  options.max_bytes = kMiB;
  CHECK(coracle::decompress_file(options).code == EFBIG);
  CHECK_FALSE(scratch.exists("out"));
  options.max_bytes = 64 * kMiB;
  std::atomic<bool> cancelled = true;
  options.cancelled = &cancelled;
  CHECK(coracle::decompress_file(options).code == ECANCELED);
  CHECK_FALSE(scratch.exists("out"));
  cancelled = false;
  CHECK_FALSE(coracle::decompress_file(options));
  CHECK(scratch.read("out") == plain);
  const coracle::LayerError again = coracle::decompress_file(options);
  CHECK(again.code == EEXIST);
  CHECK(again.step == "decompress: create");
  CHECK(scratch.read("out") == plain);
}
