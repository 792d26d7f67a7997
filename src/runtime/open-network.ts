import type { Addon } from '../native/types.ts';
import { type CniAttachment, CniNetwork, type CniResultTable } from '../network/cni/index.ts';
import { EmbeddedNetwork } from '../network/embedded.ts';
import type { AddressRecord } from '../network/host-local.ts';
import type { PodNetworkProvider } from '../network/index.ts';
import { SelectedNetwork } from '../network/select.ts';
import type { Store } from '../store/store.ts';
import type { Logger, NetworkOptions } from './context.ts';

/**
 * The network that the settings name: CNI's where there is a directory of configurations, else the
 * embedded one. The other one stays for the pods that it has attached.
 *
 * @throws InvalidArgument for settings of the embedded network that make no sense.
 */
export async function openNetwork(
  { cniConfDir, cniBinDirs, cniTimeoutMs, ...embeddedOptions }: NetworkOptions,
  { addon, store, log }: { addon: Addon; store: Store; log: Logger },
): Promise<PodNetworkProvider> {
  const addresses = store.table<AddressRecord>('addresses');
  const embedded = new EmbeddedNetwork({ addon, addresses, log, ...embeddedOptions });
  const results = durableResults(store);
  const cniOptions = { addon, binDirs: cniBinDirs, timeoutMs: cniTimeoutMs, results, log };
  if (cniConfDir !== undefined) {
    const cni = await CniNetwork.open({ ...cniOptions, confDir: cniConfDir });
    return new SelectedNetwork(cni, [embedded]);
  }
  // DEL goes by what was recorded: no directory is read.
  return new SelectedNetwork(embedded, [new CniNetwork({ ...cniOptions, confDir: '' })]);
}

/**
 * Plugins keep the addresses they give in files that outlive a power cut, so the record that DEL
 * goes by has to as well, before the first plugin runs. The result it gets later only helps DEL.
 */
function durableResults(store: Store): CniResultTable {
  const table = store.table<CniAttachment>('cni');
  return {
    get: (id) => table.get(id),
    entries: () => table.entries(),
    remove: (id) => table.remove(id),
    async put(id, attachment) {
      await table.put(id, attachment);
      if (attachment.result === undefined) await store.flushed();
    },
  };
}
