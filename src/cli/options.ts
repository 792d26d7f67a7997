import type { Command } from 'commander';
import { DEFAULT_CONFIG } from './config.ts';

/** The flags that every command takes. Their values are checked by `loadSettings`, not here. */
export function withSettings(command: Command): Command {
  return command
    .option('--config <file>', `configuration file (default: ${DEFAULT_CONFIG}, if it is there)`)
    .option('--root <dir>', 'what must survive a reboot: images, layers, records')
    .option('--state <dir>', 'what must not: sockets, exit records, files of pods')
    .option('--listen <address>', 'CRI socket, unix:///path')
    .option('--cgroup-driver <driver>', 'cgroupfs or systemd')
    .option('--cni-conf-dir <dir>', 'CNI configurations (default: none, the embedded network)')
    .option('--cni-bin-dir <dirs>', 'CNI plugins, directories joined by colons')
    .option('--stream-address <address>', 'HOST:PORT of exec, attach and port-forward')
    .option('--metrics-address <address>', 'HOST:PORT of metrics for Prometheus (default: none)')
    .option('--log-level <level>', 'trace, debug, info, warn, error, fatal or silent');
}
