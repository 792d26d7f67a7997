{
  "targets": [
    {
      "target_name": "coracle",
      "sources": ["<!@(node scripts/native-sources.mjs addon binding sys)"],
      "include_dirs": [".", "<!(node -p \"require('node-addon-api').include_dir\")"],
      # What cannot be thrown any more, as a worker thread is being ended, must not end the process.
      "defines": [
        "NAPI_VERSION=9",
        "NAPI_CPP_EXCEPTIONS",
        "NODE_API_SWALLOW_UNTHROWABLE_EXCEPTIONS",
        "_GNU_SOURCE",
      ],
      "cflags_cc!": ["-std=gnu++17", "-fno-exceptions", "-fno-rtti"],
      "cflags_cc": [
        "-std=c++20",
        "-fexceptions",
        "-fvisibility=hidden",
        "-Wall",
        "-Wextra",
        "-Wno-missing-field-initializers",
        "<!@(pkg-config --cflags libseccomp libarchive libzstd nettle libisal)",
      ],
      "libraries": ["<!@(pkg-config --libs libseccomp libarchive libzstd nettle libisal)"],
    },
    {
      "target_name": "monitor",
      "type": "none",
      "actions": [
        {
          "action_name": "build_monitor",
          "inputs": [
            "scripts/build-monitor.sh",
            "native/sources.json",
            "<!@(node scripts/native-sources.mjs monitor launch sys headers)",
          ],
          "outputs": ["<(PRODUCT_DIR)/coracle-monitor"],
          "action": ["bash", "scripts/build-monitor.sh", "<(PRODUCT_DIR)/coracle-monitor"],
        }
      ],
    },
  ]
}
