// Tar blocks with any lie in them, and blobs of any size that take little to store.
#ifndef CORACLE_TEST_NATIVE_RAW_TAR_H_
#define CORACLE_TEST_NATIVE_RAW_TAR_H_

#include <isa-l/igzip_lib.h>

#include <cstdint>
#include <cstdio>
#include <cstring>
#include <memory>
#include <string>

namespace raw_tar {

// Gives a header that was changed its checksum.
inline void sum_up(std::string* block) {
  block->replace(148, 8, "        ");
  unsigned sum = 0;
  for (unsigned char byte : *block) sum += byte;
  char text[8];
  snprintf(text, sizeof text, "%06o", sum);
  block->replace(148, 7, text, 7);
}

// A ustar header with a correct checksum. `size` is written as it is: 11 octal digits, or base 256.
inline std::string header(const std::string& name, char type, const std::string& size) {
  std::string block(512, '\0');
  block.replace(0, name.size(), name);
  block.replace(100, 7, "0000644");
  block.replace(108, 7, "0000000");
  block.replace(116, 7, "0000000");
  block.replace(124, size.size(), size);
  block.replace(136, 11, "07346545000");
  block[156] = type;
  block.replace(257, 8, std::string("ustar\00000", 8));
  sum_up(&block);
  return block;
}

inline std::string octal(uint64_t size) {
  char text[16];
  snprintf(text, sizeof text, "%011lo", static_cast<unsigned long>(size));
  return text;
}

// GNU's form of sizes that 11 octal digits cannot say.
inline std::string base256(int64_t size) {
  std::string text(12, size < 0 ? '\xff' : '\0');
  text[0] = static_cast<char>(text[0] | '\x80');
  for (size_t i = 0; i < 8; ++i) text[11 - i] = static_cast<char>(size >> (8 * i));
  return text;
}

// One extended header record: "length key=value\n", the length counting itself.
inline std::string record(const std::string& key, const std::string& value) {
  const std::string rest = " " + key + "=" + value + "\n";
  size_t length = rest.size() + 1;
  while (std::to_string(length).size() + rest.size() != length) ++length;
  return std::to_string(length) + rest;
}

inline std::string padded(std::string data) {
  data.resize((data.size() + 511) / 512 * 512, '\0');
  return data;
}

inline std::string gzip(const std::string& bytes) {
  std::string out(bytes.size() + 4096, '\0');
  auto stream = std::make_unique<isal_zstream>();
  isal_deflate_stateless_init(stream.get());
  stream->gzip_flag = IGZIP_GZIP;
  stream->end_of_stream = 1;
  stream->next_in = reinterpret_cast<uint8_t*>(const_cast<char*>(bytes.data()));
  stream->avail_in = static_cast<uint32_t>(bytes.size());
  stream->next_out = reinterpret_cast<uint8_t*>(out.data());
  stream->avail_out = static_cast<uint32_t>(out.size());
  isal_deflate_stateless(stream.get());
  out.resize(stream->total_out);
  return out;
}

// A gzip blob of `start`, then `piece` over and over.
inline std::string bomb(const std::string& start, const std::string& piece, size_t times) {
  std::string blob = gzip(start);
  const std::string member = gzip(piece);
  for (size_t i = 0; i < times; ++i) blob += member;
  return blob;
}

}  // namespace raw_tar

#endif  // CORACLE_TEST_NATIVE_RAW_TAR_H_
