import { unsupported } from './fields.ts';
import { NamespaceMode, type UserNamespace } from './gen/cri.ts';

/** The host's user namespace is the only one there is; it takes no mappings. */
export function checkUserNamespace(field: string, options: UserNamespace | undefined): void {
  if (!options) return;
  if (options.mode !== NamespaceMode.NODE) {
    throw unsupported(`${field}.mode`, 'user namespaces are');
  }
  if (options.uids.length > 0) throw unsupported(`${field}.uids`, 'user namespaces are');
  if (options.gids.length > 0) throw unsupported(`${field}.gids`, 'user namespaces are');
}
