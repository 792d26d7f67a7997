// Comma-separated mount options for the new mount interface.
#ifndef CORACLE_NATIVE_LAUNCH_MOUNT_OPTIONS_H_
#define CORACLE_NATIVE_LAUNCH_MOUNT_OPTIONS_H_

#include "native/sys/error.h"

namespace coracle {

// Hands "key=value" and "flag" options to fsconfig(2), one by one. A comma inside double quotes
// does not separate (SELinux contexts have them), and the quotes are taken off. On failure the
// error has `step` and `path`.
Error set_mount_options(int fs, const char* step, const char* path, const char* options);

}  // namespace coracle

#endif  // CORACLE_NATIVE_LAUNCH_MOUNT_OPTIONS_H_
