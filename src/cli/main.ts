#!/usr/bin/env -S node --max-semi-space-size=4
import { Command } from 'commander';
import { messageOf } from '../errors.ts';
import { VERSION } from '../observe/version.ts';
import { registerBench } from './bench.ts';
import { complain } from './complain.ts';
import { registerDoctor } from './doctor.ts';
import { registerImages } from './images.ts';
import { registerImport } from './import.ts';
import { registerInspecti } from './inspecti.ts';
import { registerPull } from './pull.ts';
import { registerRmi } from './rmi.ts';
import { registerRun } from './run-command.ts';
import { registerServe } from './serve-command.ts';

/*
 * The flag above bounds what V8 sets aside for young objects, MiB. By itself it takes up to 16,
 * twice, when a server starts or is busy for a while, and keeps them; with 4 a server of 200 pods
 * has some 20 MB less, and calls take no longer.
 *
 * Commands import what they do when they are called: `doctor` must work where the addon does not
 * load, and none should wait for what it does not use.
 */
const program = new Command('coracle')
  .description('A container runtime for Linux that lives in a Node.js process')
  .version(VERSION)
  // Needed by `run`, whose command may have flags of its own.
  .enablePositionalOptions()
  .configureOutput({ outputError: (text) => complain(text.replace(/^error: /, '')) });

registerServe(program);
registerRun(program);
registerPull(program);
registerImages(program);
registerInspecti(program);
registerImport(program);
registerRmi(program);
registerDoctor(program);
registerBench(program);

try {
  await program.parseAsync();
} catch (error) {
  complain(messageOf(error));
  process.exitCode = 1;
}
