// Whiteouts: names by which a layer removes what the layers below have (OCI image specification
// 1.1, layer.md, "Whiteouts").
#ifndef CORACLE_NATIVE_ADDON_LAYER_WHITEOUT_H_
#define CORACLE_NATIVE_ADDON_LAYER_WHITEOUT_H_

#include <string>
#include <string_view>
#include <unordered_set>

#include "native/addon/layer_tree.h"

namespace coracle::layer {

inline bool is_whiteout(std::string_view path) { return base_name(path).starts_with(".wh."); }

class Whiteouts {
 public:
  explicit Whiteouts(Tree* tree) : tree_(tree) {}

  // Remembers what this layer has brought, right after it was written: whiteouts apply to the
  // layers below alone, whatever the order of entries in the tar. Returns the bytes of memory that
  // this takes.
  size_t wrote(std::string_view path);

  // Applies an entry whose name is_whiteout. Other aufs names (".wh..wh.plnk") mean nothing.
  void apply(std::string_view path);

 private:
  void remove_lower(int parent, const std::string& parent_name, const std::string& name);
  void remove_lower_children(int directory, const std::string& name);

  Tree* tree_;
  std::unordered_set<std::string> written_;
};

}  // namespace coracle::layer

#endif  // CORACLE_NATIVE_ADDON_LAYER_WHITEOUT_H_
