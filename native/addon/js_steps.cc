#include "native/addon/js_steps.h"

#include <limits.h>

#include <iterator>
#include <string_view>

namespace coracle {
namespace {

// A filter is at most BPF_MAXINSNS (4096) instructions of 8 bytes.
constexpr size_t kMaxProgram = 4096 * 8;
constexpr size_t kInstruction = 8;

uint8_t flag(const JsField& field) { return field.boolean() ? 1 : 0; }
uint16_t u16(const JsField& field) { return static_cast<uint16_t>(field.integer(0, UINT16_MAX)); }
// Flags of the mount calls are 64 bits wide but small: JavaScript numbers hold them.
uint64_t flags64(const JsField& field) {
  return static_cast<uint64_t>(field.integer(0, int64_t{1} << 53));
}

void read_join_cgroup(const JsField& in, PlanBuilder& out) {
  out.add_join_cgroup(in.get("file").string());
}

void read_unshare(const JsField& in, PlanBuilder& out) {
  Unshare step;
  step.flags = in.get("flags").u32();
  out.add(step);
}

void read_join_namespaces(const JsField& in, PlanBuilder& out) {
  JoinNamespaces step;
  step.flags = in.get("flags").u32();
  out.add(step);
}

void read_hostname(const JsField& in, PlanBuilder& out) {
  const std::string name = in.get("name").string();
  out.add(Hostname{to_str(name)});
}

void read_overlay(const JsField& in, PlanBuilder& out) {
  const std::vector<std::string> lower = in.get("lower").strings();
  if (lower.empty() || lower.size() > UINT16_MAX) in.get("lower").wrong("a list of 1 to 65535");
  const std::vector<uint8_t> encoded = encode_strings(lower);
  const std::string upper = in.get("upper").string(), work = in.get("work").string();
  const std::string options = in.get("options").string();
  out.add(Overlay{static_cast<uint16_t>(lower.size()), to_bytes(encoded), to_str(upper),
                  to_str(work), to_str(options)});
}

void read_root_bind(const JsField& in, PlanBuilder& out) {
  out.add_root_bind(in.get("source").string());
}

void read_mount(const JsField& in, PlanBuilder& out) {
  const std::string type = in.get("type").string(), source = in.get("source").string();
  const std::string target = in.get("target").string(), options = in.get("options").string();
  out.add(Mount{to_str(type), to_str(source), to_str(target), flags64(in.get("attributes")),
                to_str(options)});
}

void read_bind(const JsField& in, PlanBuilder& out) {
  const std::string source = in.get("source").string(), target = in.get("target").string();
  Bind step;
  step.source = to_str(source);
  step.target = to_str(target);
  step.attributes_set = flags64(in.get("attributesSet"));
  step.attributes_clear = flags64(in.get("attributesClear"));
  step.recursive_attributes = flag(in.get("recursiveAttributes"));
  step.propagation = flags64(in.get("propagation"));
  out.add_bind(step, in.get("recursive").boolean());
}

template <typename Step>
void read_target(const JsField& in, PlanBuilder& out) {
  const std::string target = in.get("target").string();
  out.add(Step{to_str(target)});
}

void read_mkdir(const JsField& in, PlanBuilder& out) {
  const std::string target = in.get("target").string();
  out.add(Mkdir{to_str(target), in.get("mode").u32(), in.get("uid").u32(), in.get("gid").u32()});
}

void read_mknod(const JsField& in, PlanBuilder& out) {
  const std::string target = in.get("target").string();
  out.add(Mknod{to_str(target), in.get("mode").u32(), in.get("major").u32(), in.get("minor").u32(),
                in.get("uid").u32(), in.get("gid").u32()});
}

void read_symlink(const JsField& in, PlanBuilder& out) {
  const std::string content = in.get("content").string(), target = in.get("target").string();
  out.add(Symlink{to_str(content), to_str(target)});
}

void read_console(const JsField& in, PlanBuilder& out) {
  out.add(Console{u16(in.get("rows")), u16(in.get("cols")), flag(in.get("bindConsole"))});
}

void read_pivot(const JsField& in, PlanBuilder& out) { out.add(Pivot{flag(in.get("readonly"))}); }

void read_sysctl(const JsField& in, PlanBuilder& out) {
  const std::string name = in.get("name").string(), value = in.get("value").string();
  out.add(Sysctl{to_str(name), to_str(value)});
}

void read_rlimit(const JsField& in, PlanBuilder& out) {
  out.add(Rlimit{in.get("resource").u32(), in.get("soft").u64(), in.get("hard").u64(),
                 flag(in.get("clamp"))});
}

void read_oom_score_adj(const JsField& in, PlanBuilder& out) {
  out.add(OomScoreAdj{static_cast<int32_t>(in.get("value").integer(-1000, 1000))});
}

void read_user(const JsField& in, PlanBuilder& out) {
  const std::string user = in.get("user").string(), group = in.get("group").string();
  const JsField groups = in.get("extraGroups");
  std::vector<uint32_t> extra(groups.length());
  if (extra.size() > UINT16_MAX) groups.wrong("a list of at most 65535");
  for (uint32_t i = 0; i < extra.size(); i++) extra[i] = groups.at(i).u32();
  const Bytes bytes = {reinterpret_cast<const uint8_t*>(extra.data()),
                       static_cast<uint32_t>(extra.size() * sizeof(uint32_t))};
  out.add(User{to_str(user), to_str(group), flag(in.get("mergeGroups")),
               static_cast<uint16_t>(extra.size()), bytes});
}

void read_capabilities(const JsField& in, PlanBuilder& out) {
  out.add(Capabilities{in.get("bounding").u64(), in.get("effective").u64(),
                       in.get("permitted").u64(), in.get("inheritable").u64(),
                       in.get("ambient").u64()});
}

void read_no_new_privs(const JsField&, PlanBuilder& out) { out.add(NoNewPrivs{}); }

void read_seccomp(const JsField& in, PlanBuilder& out) {
  const JsField program = in.get("program");
  const auto [data, size] = program.bytes();
  if (size == 0 || size > kMaxProgram || size % kInstruction != 0) {
    program.wrong("1 to 4096 instructions of 8 bytes");
  }
  out.add(Seccomp{Bytes{data, static_cast<uint32_t>(size)}, in.get("flags").u32()});
}

void read_cwd(const JsField& in, PlanBuilder& out) {
  const std::string path = in.get("path").string();
  out.add(Cwd{to_str(path), flag(in.get("create"))});
}

void read_umask(const JsField& in, PlanBuilder& out) {
  out.add(Umask{static_cast<uint32_t>(in.get("mask").integer(0, 0777))});
}

void read_execve(const JsField& in, PlanBuilder& out) {
  const std::vector<std::string> argv = in.get("argv").strings();
  const std::vector<std::string> env = in.get("env").strings();
  if (argv.empty()) in.get("argv").wrong("a list of at least one string");
  const std::vector<uint8_t> arguments = encode_strings(argv), variables = encode_strings(env);
  out.add(Execve{static_cast<uint32_t>(argv.size()), to_bytes(arguments),
                 static_cast<uint32_t>(env.size()), to_bytes(variables)});
}

void read_act_as_pod_root(const JsField&, PlanBuilder& out) { out.add(ActAsPodRoot{}); }

void read_join_user_namespace(const JsField& in, PlanBuilder& out) {
  out.add(JoinUserNamespace{in.get("flags").u32()});
}

void read_image_mount(const JsField& in, PlanBuilder& out) {
  const std::vector<std::string> lower = in.get("lower").strings();
  if (lower.empty() || lower.size() > UINT16_MAX) in.get("lower").wrong("a list of 1 to 65535");
  const std::vector<uint8_t> encoded = encode_strings(lower);
  const std::string path = in.get("subPath").string(), target = in.get("target").string();
  out.add(ImageMount{static_cast<uint16_t>(lower.size()), to_bytes(encoded), to_str(path),
                     to_str(target), flags64(in.get("attributes"))});
}

void read_lsm_profile(const JsField& in, PlanBuilder& out) {
  const std::string module = in.get("module").string(), value = in.get("value").string();
  out.add(LsmProfile{to_str(module), to_str(value)});
}

struct StepReader {
  std::string_view name;
  Op op;
  void (*read)(const JsField&, PlanBuilder&);
};

constexpr StepReader kReaders[] = {
    {"joinCgroup", Op::kJoinCgroup, read_join_cgroup},
    {"unshare", Op::kUnshare, read_unshare},
    {"joinNamespaces", Op::kJoinNamespaces, read_join_namespaces},
    {"hostname", Op::kHostname, read_hostname},
    {"overlay", Op::kOverlay, read_overlay},
    {"rootBind", Op::kRootBind, read_root_bind},
    {"mount", Op::kMount, read_mount},
    {"bind", Op::kBind, read_bind},
    {"podShm", Op::kPodShm, read_target<PodShm>},
    {"mkdir", Op::kMkdir, read_mkdir},
    {"mknod", Op::kMknod, read_mknod},
    {"symlink", Op::kSymlink, read_symlink},
    {"console", Op::kConsole, read_console},
    {"pivot", Op::kPivot, read_pivot},
    {"mask", Op::kMask, read_target<Mask>},
    {"readonlyPath", Op::kReadonlyPath, read_target<ReadonlyPath>},
    {"sysctl", Op::kSysctl, read_sysctl},
    {"rlimit", Op::kRlimit, read_rlimit},
    {"oomScoreAdj", Op::kOomScoreAdj, read_oom_score_adj},
    {"user", Op::kUser, read_user},
    {"capabilities", Op::kCapabilities, read_capabilities},
    {"noNewPrivs", Op::kNoNewPrivs, read_no_new_privs},
    {"seccomp", Op::kSeccomp, read_seccomp},
    {"cwd", Op::kCwd, read_cwd},
    {"umask", Op::kUmask, read_umask},
    {"execve", Op::kExecve, read_execve},
    {"actAsPodRoot", Op::kActAsPodRoot, read_act_as_pod_root},
    {"joinUserNamespace", Op::kJoinUserNamespace, read_join_user_namespace},
    {"imageMount", Op::kImageMount, read_image_mount},
    {"lsmProfile", Op::kLsmProfile, read_lsm_profile},
};
static_assert(std::size(kReaders) == static_cast<size_t>(Op::kLsmProfile));

}  // namespace

Op read_step(const JsField& step, PlanBuilder& builder) {
  const JsField op = step.get("op");
  const std::string name = op.string();
  for (const StepReader& reader : kReaders) {
    if (reader.name != name) continue;
    reader.read(step, builder);
    return reader.op;
  }
  op.wrong("the name of a step, not '" + name + "'");
}

}  // namespace coracle
