import type { BlockDeviceName } from '../../runtime/stats/block-devices.ts';
import type { ContainerDetail } from '../../runtime/stats/pod-detail.ts';

/** A value with those of the family's own labels. The CRI has whole numbers only. */
export type Value = readonly [value: bigint | number, ...labels: string[]];

/** One of the metrics that monitoring knows from cAdvisor, by name, labels and meaning. */
export interface Family<Subject> {
  readonly name: string;
  /** What it tells, in one sentence, with the unit and where it is not there. */
  readonly help: string;
  readonly type: 'counter' | 'gauge';
  /** Beside those that tell the container and the pod. */
  readonly labels: readonly string[];
  /** None where the host does not count it. */
  values(subject: Subject): readonly Value[];
}

/** A running container. */
export interface Subject extends ContainerDetail {
  readonly deviceName: BlockDeviceName;
}

/** A family of one value without labels of its own. */
export function plain<S>(
  type: Family<S>['type'],
  name: string,
  help: string,
  read: (subject: S) => bigint | number | undefined,
): Family<S> {
  return labelled(type, name, help, [], (subject) => {
    const value = read(subject);
    return value === undefined ? [] : [[value]];
  });
}

export function labelled<S>(
  type: Family<S>['type'],
  name: string,
  help: string,
  labels: readonly string[],
  values: (subject: S) => readonly Value[],
): Family<S> {
  return { name, help, type, labels, values };
}

const NS_PER_SECOND = 1_000_000_000n;

/** Whole seconds: the CRI has no place for the rest. */
export function seconds(ns: bigint | undefined): bigint | undefined {
  return ns === undefined ? undefined : ns / NS_PER_SECOND;
}
