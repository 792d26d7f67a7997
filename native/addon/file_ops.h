// Batches of small file operations, for a worker thread.
#ifndef CORACLE_NATIVE_ADDON_FILE_OPS_H_
#define CORACLE_NATIVE_ADDON_FILE_OPS_H_

#include <sys/types.h>

#include <string>
#include <vector>

#include "native/addon/failure.h"

namespace coracle {

struct FileOp {
  enum class Kind {
    kMkdir,
    kWrite,
    kCreate,
    kRmdir,
    kRemoveTree,
    kDiscard,
    kBindFile,
    kUnbindFile,
  };
  Kind kind = Kind::kMkdir;
  std::string path;
  std::string value;      // kWrite, kCreate
  std::string source;     // kBindFile
  std::string to;         // kDiscard
  mode_t mode = 0755;     // kMkdir, kCreate
  uid_t uid = 0;          // kCreate
  gid_t gid = 0;          // kCreate
  bool parents = false;   // kMkdir
  bool below = false;     // kRmdir
  bool optional = false;  // kWrite: a missing file or a refused value is no error
};

// Runs them in order and stops at the first failure. See src/native/file-op.ts.
Failure run_file_ops(const std::vector<FileOp>& ops);

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_FILE_OPS_H_
