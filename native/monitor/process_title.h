// The name that ps(1) shows for this process.
#ifndef CORACLE_NATIVE_MONITOR_PROCESS_TITLE_H_
#define CORACLE_NATIVE_MONITOR_PROCESS_TITLE_H_

namespace coracle {

// Remembers where the kernel keeps the command line; call once, with main's arguments.
void keep_process_title(int argc, char** argv);

// Sets comm (PR_SET_NAME), which is at most 15 bytes. A program that runs from a memfd would be
// called after its descriptor.
void set_process_name(const char* name);

// Sets comm and replaces the whole command line by `name`, as far as it fits into the one that
// the process was started with.
void set_process_title(const char* name);

}  // namespace coracle

#endif  // CORACLE_NATIVE_MONITOR_PROCESS_TITLE_H_
