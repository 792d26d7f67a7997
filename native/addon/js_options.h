// Reads the options of the addon's functions from JavaScript. One of the files that see napi.h.
// Every reader throws a TypeError that names the wrong field.
#ifndef CORACLE_NATIVE_ADDON_JS_OPTIONS_H_
#define CORACLE_NATIVE_ADDON_JS_OPTIONS_H_

#include <vector>

#include "native/addon/apply_layer.h"
#include "native/addon/decompress_file.h"
#include "native/addon/device_program.h"
#include "native/addon/file_ops.h"
#include "native/addon/helper_process.h"
#include "native/addon/js_values.h"
#include "native/addon/layer_path.h"
#include "native/addon/network.h"
#include "native/addon/seccomp.h"

namespace coracle {

std::vector<FileOp> read_file_ops(const JsField& ops);
HelperRequest read_helper(const JsField& options);
SeccompProfile read_seccomp_profile(const JsField& spec);
std::vector<DeviceRule> read_device_rules(const JsField& rules);
BridgeSpec read_bridge(const JsField& spec);
VethSpec read_veth(const JsField& spec);
UdpFlows read_udp_flows(const JsField& flows);
ApplyLayerOptions read_layer(const JsField& options);              // without `cancelled`
DecompressOptions read_decompress(const JsField& options);         // without `cancelled`
LayerPathOptions read_layer_path_options(const JsField& options);  // without `cancelled`

}  // namespace coracle

#endif  // CORACLE_NATIVE_ADDON_JS_OPTIONS_H_
