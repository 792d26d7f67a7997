import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { constants, createDeflate, deflateRawSync, inflateSync } from 'node:zlib';
import * as fc from 'fast-check';
import { DICTIONARY, DICTIONARY_ID } from '../../src/streaming/spdy/dictionary.ts';
import { SpdyError } from '../../src/streaming/spdy/errors.ts';
import { HeaderReader, HeaderWriter } from '../../src/streaming/spdy/header-block.ts';
import { type Frame, FrameParser } from '../../src/streaming/spdy/parser.ts';
import { controlFrame, dataFrame, words } from '../helpers/spdy-client.ts';

/** What moby/spdystream, Kubernetes' client, sent for `echo hello | crictl exec -i … cat`. */
const RECORDED = Buffer.from(
  `80030001000000290000000100000000000078f9e3c6a7c262606060 04a7b392a2d4c45c6851c29a0a0a680000
   0000ffff 80030001000000170000000300000000 0000c22e555c92929907000000ffff
   80030001000000190000000500000000 0000c22ac5565c92925f5a02000000ffff
   80030001000000150000000700000000 0000c229975a5404000000ffff
   000000030000000668656c6c6f0a 0000000301000000
   80030003000000080000000500000005 80030003000000080000000700000005
   80030003000000080000000100000005`.replace(/\s/g, ''),
  'hex',
);

const EXPECTED = [
  'open 1 streamtype=error',
  'open 3 streamtype=stdin',
  'open 5 streamtype=stdout',
  'open 7 streamtype=stderr',
  'data 3 "hello\\n"',
  'data 3 "" fin',
  'reset 5 5',
  'reset 7 5',
  'reset 1 5',
];

function describeFrame(frame: Frame): string {
  switch (frame.type) {
    case 'data':
      return `data ${frame.id} ${JSON.stringify(String(frame.payload))}${frame.fin ? ' fin' : ''}`;
    case 'synStream': {
      const headers = [...frame.headers].map(([name, value]) => `${name}=${value}`);
      return `open ${frame.id} ${headers.join(' ')}${frame.fin ? ' fin' : ''}`;
    }
    case 'rstStream':
      return `reset ${frame.id} ${frame.status}`;
    case 'ping':
      return `ping ${frame.id}`;
    case 'goAway':
      return `goaway ${frame.lastId} ${frame.status}`;
    default:
      return `${frame.type} ${frame.id}`;
  }
}

function parse(...chunks: Buffer[]): string[] {
  const parser = new FrameParser();
  return chunks.flatMap((chunk) => [...parser.feed(chunk)].map(describeFrame));
}

/** Joins the data frames that a cut made two of. */
function joined(frames: string[]): string[] {
  const result: string[] = [];
  for (const frame of frames) {
    const [, id, text] = /^data (\d+) (".*")$/.exec(frame) ?? [];
    const before = /^data (\d+) (".*")$/.exec(result.at(-1) ?? '');
    if (id !== undefined && text !== undefined && before?.[1] === id) {
      const all = JSON.parse(before[2] ?? '""') + JSON.parse(text);
      result[result.length - 1] = `data ${id} ${JSON.stringify(all)}`;
    } else result.push(frame);
  }
  return result;
}

describe('the SPDY parser', () => {
  it('reads what Kubernetes sends', () => {
    assert.deepEqual(parse(RECORDED), EXPECTED);
  });

  it('reads it byte by byte', () => {
    assert.deepEqual(joined(parse(...[...RECORDED].map((byte) => Buffer.of(byte)))), EXPECTED);
  });

  it('reads it cut anywhere', () => {
    for (let at = 0; at <= RECORDED.length; at++) {
      const frames = parse(RECORDED.subarray(0, at), RECORDED.subarray(at));
      assert.deepEqual(joined(frames), EXPECTED, `cut at ${at}`);
    }
  });

  it('gives data before a long frame is complete, and its end with the last piece', () => {
    const frame = dataFrame(1, Buffer.from('abcdef'), true);
    const frames = parse(frame.subarray(0, 10), frame.subarray(10, 13), frame.subarray(13));
    assert.deepEqual(frames, ['data 1 "ab"', 'data 1 "cde"', 'data 1 "f" fin']);
  });

  it('passes over what it need not understand', () => {
    const frames = parse(
      controlFrame(4, words(1, 0x0000_0004, 100)),
      controlFrame(9, words(1, 65_536)),
      controlFrame(10, Buffer.from('CREDENTIAL')),
      controlFrame(0xffff, Buffer.alloc(0)),
      controlFrame(6, words(7)),
      controlFrame(7, words(5, 0)),
    );
    assert.deepEqual(frames, ['ping 7', 'goaway 5 0']);
  });

  const hostile: [name: string, bytes: Buffer, message: RegExp][] = [
    ['another version', Buffer.from('8002000100000000', 'hex'), /version 2/],
    ['HTTP', Buffer.from(`${String.fromCharCode(0x80)}ET / HTTP/1.1\r\n`, 'latin1'), /version/],
    ['a control frame of 16 MiB', Buffer.from('8003000100ffffff', 'hex'), /16777215 bytes/],
    ['a SYN_STREAM without end', controlFrame(1, words(1)), /type 1 is short/],
    ['a RST_STREAM without a status', controlFrame(3, words(1)), /type 3 is short/],
    ['an empty PING', controlFrame(6, Buffer.alloc(0)), /type 6 is short/],
    ['a block that is not compressed', synStream(Buffer.from([0, 0, 0, 0, 0, 0, 0])), /dictionary/],
    ['an empty block', synStream(Buffer.alloc(0)), /dictionary/],
    ['garbage as a block', synStream(compressed(Buffer.alloc(0), 'ffffff')), /inflated/],
    ['a bomb', synStream(zlibBlock(Buffer.alloc(10_000_000))), /inflates to more than 16384 bytes/],
    ['a block that is cut short', synStream(zlibBlock(words(2, 1))), /cut short/],
    ['a name longer than the block', synStream(zlibBlock(words(1, 0xffff_ffff))), /cut short/],
    ['a million headers', synStream(zlibBlock(words(1_000_000))), /1000000 headers/],
    ['a header twice', synStream(zlibBlock(pairs('a', '1', 'A', '2'))), /twice/],
    ['a header without a name', synStream(zlibBlock(pairs('', '1'))), /empty/],
  ];
  for (const [name, bytes, message] of hostile) {
    it(`refuses ${name}`, () => {
      assert.throws(
        () => parse(bytes),
        (error) => error instanceof SpdyError && message.test(error.message),
      );
    });
  }

  it('throws nothing but SpdyErrors, whatever comes', () => {
    const piece = fc.oneof(
      fc.uint8Array({ maxLength: 40 }),
      fc
        .tuple(fc.integer({ min: 0, max: 12 }), fc.uint8Array({ maxLength: 60 }))
        .map(([type, payload]) => controlFrame(type, Buffer.from(payload))),
      fc.constantFrom(...[0, 57, 80, 200].map((at) => RECORDED.subarray(at))),
    );
    fc.assert(
      fc.property(fc.array(piece, { maxLength: 8 }), (pieces) => {
        try {
          parse(...pieces.map((each) => Buffer.from(each)));
        } catch (error) {
          if (!(error instanceof SpdyError)) throw error;
        }
      }),
      { numRuns: 2000 },
    );
  });
});

function synStream(block: Buffer): Buffer {
  return controlFrame(1, Buffer.concat([words(1, 0), Buffer.alloc(2), block]));
}

function compressed(deflated: Buffer, tail = ''): Buffer {
  const header = Buffer.concat([Buffer.from('78f9', 'hex'), words(DICTIONARY_ID)]);
  return Buffer.concat([header, deflated, Buffer.from(tail, 'hex')]);
}

function zlibBlock(bytes: Buffer): Buffer {
  const options = { dictionary: DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH };
  return compressed(deflateRawSync(bytes, options));
}

function pairs(...texts: string[]): Buffer {
  const parts = texts.flatMap((text) => [words(text.length), Buffer.from(text)]);
  return Buffer.concat([words(texts.length / 2), ...parts]);
}

describe('header blocks', () => {
  it('use the dictionary of the draft', () => {
    assert.equal(DICTIONARY.length, 1423);
    assert.equal(adler32(DICTIONARY), DICTIONARY_ID);
  });

  it('are read with a compressor whose state spans them all', async () => {
    const deflate = createDeflate({ dictionary: DICTIONARY, flush: constants.Z_SYNC_FLUSH });
    const reader = new HeaderReader();
    // Far more than the window of 32 KiB: references reach back into earlier blocks.
    for (let i = 0; i < 200; i++) {
      const value = `${i}-`.repeat(100);
      const block = await new Promise<Buffer>((resolve) => {
        deflate.write(pairs('streamtype', 'data', 'port', value), () => {
          resolve(deflate.read() as Buffer);
        });
      });
      assert.ok(block.length < value.length + 60);
      assert.deepEqual(
        [...reader.read(block)],
        [
          ['streamtype', 'data'],
          ['port', value],
        ],
      );
    }
  });

  it('are written so that zlib reads them', () => {
    const writer = new HeaderWriter();
    const blocks = [
      writer.write(new Map()),
      writer.write(new Map([['a', 'ü']])),
      writer.write(new Map()),
    ];
    const options = { dictionary: DICTIONARY, finishFlush: constants.Z_SYNC_FLUSH };
    const expected = [pairs(), Buffer.concat([words(1, 1), Buffer.from('a'), words(2)]), pairs()];
    assert.deepEqual(
      inflateSync(Buffer.concat(blocks), options),
      Buffer.concat([...expected.slice(0, 2), Buffer.from('ü'), ...expected.slice(2)]),
    );
  });

  it('are written so that they can be read', () => {
    const writer = new HeaderWriter();
    const reader = new HeaderReader();
    for (const headers of [
      new Map([['a', 'b']]),
      new Map(),
      new Map([['c', 'x'.repeat(16_000)]]),
    ]) {
      assert.deepEqual(reader.read(writer.write(headers)), headers);
    }
  });
});

function adler32(bytes: Buffer): number {
  let [a, b] = [1, 0];
  for (const byte of bytes) {
    a = (a + byte) % 65_521;
    b = (b + a) % 65_521;
  }
  return b * 65_536 + a;
}
