#include "native/monitor/process_title.h"

#include <string.h>
#include <sys/prctl.h>

namespace coracle {
namespace {

char* title = nullptr;
size_t title_size = 0;

}  // namespace

void keep_process_title(int argc, char** argv) {
  if (argc <= 0) return;
  title = argv[0];
  const char* last = argv[argc - 1];
  title_size = static_cast<size_t>(last + strlen(last) + 1 - title);
}

void set_process_name(const char* name) { prctl(PR_SET_NAME, name, 0, 0, 0); }

void set_process_title(const char* name) {
  set_process_name(name);
  if (title_size == 0) return;
  memset(title, 0, title_size);
  memcpy(title, name, strnlen(name, title_size - 1));
}

}  // namespace coracle
