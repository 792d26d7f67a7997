#include "native/launch/report.h"

#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

namespace coracle {
namespace {

void copy_text(char* out, size_t capacity, const char* text) {
  size_t size = strnlen(text, capacity - 1);
  memcpy(out, text, size);
  out[size] = 0;
}

bool send_record(const Child& child) {
  const void* record = &child.report;
  return write(child.report_fd, record, sizeof(Report)) == sizeof(Report);
}

union Control {
  cmsghdr header;  // for its alignment
  char bytes[CMSG_SPACE(sizeof(int))];
};

}  // namespace

Error report_ready(Child& child) {
  child.report.kind = ReportKind::kReady;
  return send_record(child) ? Error{} : failed("report to monitor");
}

void report_error(Child& child, const Error& error) {
  child.report.kind = ReportKind::kError;
  child.report.code = error.code;
  copy_text(child.report.step, sizeof(Report::step), error.step);
  copy_text(child.report.path, sizeof(Report::path), error.path);
  // The child ends in any case: its exit status speaks where this cannot be said.
  (void)send_record(child);
}

Error report_terminal(const Child& child, int master) {
  ReportKind kind = ReportKind::kTerminal;
  iovec body = {&kind, sizeof(kind)};
  Control control;
  memset(&control, 0, sizeof(control));
  msghdr message;
  memset(&message, 0, sizeof(message));
  message.msg_iov = &body;
  message.msg_iovlen = 1;
  message.msg_control = control.bytes;
  message.msg_controllen = sizeof(control.bytes);
  cmsghdr* header = CMSG_FIRSTHDR(&message);
  header->cmsg_level = SOL_SOCKET;
  header->cmsg_type = SCM_RIGHTS;
  header->cmsg_len = CMSG_LEN(sizeof(int));
  memcpy(CMSG_DATA(header), &master, sizeof(master));
  if (sendmsg(child.report_fd, &message, MSG_NOSIGNAL) < 0) return failed("hand over terminal");
  return {};
}

ReportResult read_report(Launched* launched, Report* report) {
  for (;;) {
    iovec body = {report, sizeof(*report)};
    Control control;
    msghdr message;
    memset(&message, 0, sizeof(message));
    message.msg_iov = &body;
    message.msg_iovlen = 1;
    message.msg_control = control.bytes;
    message.msg_controllen = sizeof(control.bytes);
    ssize_t size = recvmsg(launched->report_fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (size < 0 && errno == EINTR) continue;
    if (size < 0 && errno == EAGAIN) return ReportResult::kNone;
    if (size <= 0) return ReportResult::kEnd;
    if ((message.msg_flags & MSG_CTRUNC) != 0) {
      // The caller has no number left for the terminal, and the kernel has let go of it,
      // recvmsg(2).
      *report = Report{};
      report->kind = ReportKind::kError;
      report->op = Op::kConsole;
      report->code = EMFILE;
      copy_text(report->step, sizeof(Report::step), "receive terminal");
      return ReportResult::kReport;
    }
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS) continue;
      int fd = -1;
      memcpy(&fd, CMSG_DATA(header), sizeof(fd));
      if (launched->terminal_fd >= 0) close(launched->terminal_fd);
      launched->terminal_fd = fd;
    }
    if (size == sizeof(Report)) return ReportResult::kReport;
  }
}

}  // namespace coracle
