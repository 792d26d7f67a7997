#include "native/addon/js_options.h"

#include <limits.h>

namespace coracle {
namespace {

constexpr int64_t kMaxSafe = (int64_t{1} << 53) - 1;

FileOp read_file_op(const JsField& in) {
  FileOp op;
  const JsField name_field = in.get("op");
  const std::string name = name_field.string();
  op.path = in.get("path").string();
  if (op.path.empty()) in.get("path").wrong("a path, not empty");
  if (name == "mkdir") {
    op.kind = FileOp::Kind::kMkdir;
    op.mode = static_cast<mode_t>(in.get("mode").integer(0, 07777));
    op.parents = in.get("parents").boolean();
  } else if (name == "write") {
    op.kind = FileOp::Kind::kWrite;
    op.value = in.get("value").string();
    op.optional = in.get("optional").boolean();
  } else if (name == "create") {
    op.kind = FileOp::Kind::kCreate;
    op.value = in.get("value").string();
    op.mode = static_cast<mode_t>(in.get("mode").integer(0, 07777));
    op.uid = in.get("uid").u32();
    op.gid = in.get("gid").u32();
  } else if (name == "rmdir") {
    op.kind = FileOp::Kind::kRmdir;
    op.below = in.get("below").boolean();
  } else if (name == "removeTree") {
    op.kind = FileOp::Kind::kRemoveTree;
  } else if (name == "discard") {
    op.kind = FileOp::Kind::kDiscard;
    op.to = in.get("to").string();
  } else if (name == "bindFile") {
    op.kind = FileOp::Kind::kBindFile;
    op.source = in.get("source").string();
  } else if (name == "unbindFile") {
    op.kind = FileOp::Kind::kUnbindFile;
  } else {
    name_field.wrong(
        "'mkdir', 'write', 'create', 'rmdir', 'removeTree', 'discard', 'bindFile' or "
        "'unbindFile'");
  }
  return op;
}

SeccompArg read_seccomp_arg(const JsField& in) {
  return SeccompArg{in.get("index").u32(), in.get("value").u64(), in.get("valueTwo").u64(),
                    in.get("op").string()};
}

// Errno values are 16 bits of a filter's return value.
void read_errno(const JsField& in, unsigned* out) {
  if (!in.missing()) *out = static_cast<unsigned>(in.integer(0, UINT16_MAX));
}

SeccompRule read_seccomp_rule(const JsField& in) {
  SeccompRule rule;
  rule.names = in.get("names").strings();
  rule.action = in.get("action").string();
  read_errno(in.get("errnoRet"), &rule.errno_ret);
  const JsField args = in.get("args");
  for (uint32_t i = 0; !args.missing() && i < args.length(); i++) {
    rule.args.push_back(read_seccomp_arg(args.at(i)));
  }
  return rule;
}

uint8_t read_access(const JsField& in) {
  uint8_t access = 0;
  for (const char c : in.string()) {
    if (c == 'r') {
      access |= kDeviceRead;
    } else if (c == 'w') {
      access |= kDeviceWrite;
    } else if (c == 'm') {
      access |= kDeviceMknod;
    } else {
      in.wrong("letters of 'rwm'");
    }
  }
  return access;
}

DeviceRule read_device_rule(const JsField& in) {
  DeviceRule rule;
  rule.allow = in.get("allow").boolean();
  const std::string type = in.get("type").string();
  if (type != "a" && type != "b" && type != "c") in.get("type").wrong("'a', 'b' or 'c'");
  rule.type = type[0];
  rule.major = in.get("major").integer(-1, INT_MAX);
  rule.minor = in.get("minor").integer(-1, INT_MAX);
  rule.access = read_access(in.get("access"));
  return rule;
}

}  // namespace

std::vector<FileOp> read_file_ops(const JsField& ops) {
  std::vector<FileOp> list;
  for (uint32_t i = 0; i < ops.length(); i++) list.push_back(read_file_op(ops.at(i)));
  return list;
}

HelperRequest read_helper(const JsField& options) {
  HelperRequest request;
  request.file = options.get("file").string();
  if (request.file.empty()) options.get("file").wrong("a program, not empty");
  request.argv = options.get("argv").strings();
  if (request.argv.empty()) options.get("argv").wrong("a list of at least one string");
  request.env = options.get("env").strings();
  const JsField input = options.get("stdin");
  if (!input.missing()) {
    if (!input.value().IsString()) input.wrong("a string");
    request.input = input.value().As<Napi::String>().Utf8Value();
  }
  const JsField cwd = options.get("cwd");
  if (!cwd.missing()) request.cwd = cwd.string();
  const JsField timeout = options.get("timeoutMs");
  if (!timeout.missing()) request.timeout_ms = static_cast<uint64_t>(timeout.integer(0, INT_MAX));
  const JsField output = options.get("maxOutput");
  if (!output.missing()) request.max_output = static_cast<size_t>(output.integer(0, INT_MAX));
  return request;
}

SeccompProfile read_seccomp_profile(const JsField& spec) {
  SeccompProfile profile;
  profile.default_action = spec.get("defaultAction").string();
  read_errno(spec.get("defaultErrnoRet"), &profile.default_errno_ret);
  profile.architectures = spec.get("architectures").strings();
  const JsField syscalls = spec.get("syscalls");
  for (uint32_t i = 0; i < syscalls.length(); i++) {
    profile.syscalls.push_back(read_seccomp_rule(syscalls.at(i)));
  }
  return profile;
}

std::vector<DeviceRule> read_device_rules(const JsField& rules) {
  std::vector<DeviceRule> list;
  for (uint32_t i = 0; i < rules.length(); i++) list.push_back(read_device_rule(rules.at(i)));
  return list;
}

BridgeSpec read_bridge(const JsField& spec) {
  BridgeSpec out;
  out.name = spec.get("name").string();
  out.addresses = spec.get("addresses").strings();
  out.mtu = spec.get("mtu").u32();
  return out;
}

VethSpec read_veth(const JsField& spec) {
  VethSpec out;
  out.host_name = spec.get("hostName").string();
  out.pod_name = spec.get("podName").string();
  out.bridge = spec.get("bridge").string();
  out.pod_pid = static_cast<int>(spec.get("podPid").integer(0, INT_MAX));
  out.mtu = spec.get("mtu").u32();
  out.mac = spec.get("mac").string();
  out.addresses = spec.get("addresses").strings();
  out.gateways = spec.get("gateways").strings();
  out.pod_netlink_fd = static_cast<int>(spec.get("podNetlinkFd").integer(0, INT_MAX));
  return out;
}

UdpFlows read_udp_flows(const JsField& flows) {
  UdpFlows out;
  const JsField ports = flows.get("ports");
  for (uint32_t i = 0; i < ports.length(); i++) {
    out.ports.push_back(static_cast<uint16_t>(ports.at(i).integer(1, UINT16_MAX)));
  }
  out.pods = flows.get("pods").strings();
  out.untranslated = flows.get("untranslated").boolean();
  return out;
}

namespace {

Compression read_compression(const JsField& in) {
  const std::string name = in.string();
  if (name == "gzip") return Compression::kGzip;
  if (name == "zstd") return Compression::kZstd;
  if (name != "none") in.wrong("'none', 'gzip' or 'zstd'");
  return Compression::kNone;
}

}  // namespace

ApplyLayerOptions read_layer(const JsField& options) {
  ApplyLayerOptions out;
  out.blob = options.get("blob").string();
  out.compression = read_compression(options.get("compression"));
  out.target = options.get("target").string();
  out.parents = options.get("parents").strings();
  out.work = options.get("work").string();
  out.max_bytes = options.get("maxBytes").u64();
  out.max_entries = static_cast<uint64_t>(options.get("maxEntries").integer(0, kMaxSafe));
  return out;
}

LayerPathOptions read_layer_path_options(const JsField& options) {
  LayerPathOptions out;
  out.layers = options.get("layers").strings();
  if (out.layers.empty()) options.get("layers").wrong("a list of at least one string");
  out.path = options.get("path").string();
  const JsField copy = options.get("copyTo");
  if (!copy.missing()) out.copy_to = copy.string();
  return out;
}

DecompressOptions read_decompress(const JsField& options) {
  DecompressOptions out;
  out.blob = options.get("blob").string();
  out.compression = read_compression(options.get("compression"));
  out.target = options.get("target").string();
  out.max_bytes = options.get("maxBytes").u64();
  return out;
}

}  // namespace coracle
