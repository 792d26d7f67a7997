/**
 * The dictionary that header blocks of SPDY/3 are compressed with: names and values that HTTP has
 * often, each after its length in 32 bits, and then a text of fragments (draft 3.1 of SPDY,
 * section 2.6.10.1). Both ends must have the same 1423 bytes.
 */
const WORDS = `
options head post put delete trace accept accept-charset accept-encoding accept-language
accept-ranges age allow authorization cache-control connection content-base content-encoding
content-language content-length content-location content-md5 content-range content-type date etag
expect expires from host if-match if-modified-since if-none-match if-range if-unmodified-since
last-modified location max-forwards pragma proxy-authenticate proxy-authorization range referer
retry-after server te trailer transfer-encoding upgrade user-agent vary via warning
www-authenticate method get status 200_OK version HTTP/1.1 url public set-cookie keep-alive origin
`;

const FRAGMENTS = [
  '100101201202205206300302303304305306307402405406407408409410411412413414415416417502504505',
  '203 Non-Authoritative Information204 No Content301 Moved Permanently400 Bad Request',
  '401 Unauthorized403 Forbidden404 Not Found500 Internal Server Error501 Not Implemented',
  '503 Service UnavailableJan Feb Mar Apr May Jun Jul Aug Sept Oct Nov Dec 00:00:00 ',
  'Mon, Tue, Wed, Thu, Fri, Sat, Sun, GMTchunked,text/html,image/png,image/jpg,image/gif,',
  'application/xml,application/xhtml+xml,text/plain,text/javascript,publicprivatemax-age=',
  'gzip,deflate,sdchcharset=utf-8charset=iso-8859-1,utf-,*,enq=0.',
];

function withLength(word: string): Buffer {
  const length = Buffer.alloc(4);
  length.writeUInt32BE(word.length);
  return Buffer.concat([length, Buffer.from(word, 'latin1')]);
}

export const DICTIONARY: Buffer = Buffer.concat([
  ...WORDS.trim()
    .split(/\s+/)
    .map((word) => withLength(word.replace('_', ' '))),
  Buffer.from(FRAGMENTS.join(''), 'latin1'),
]);

/** Adler-32 of the dictionary: how a zlib stream names the one that it needs (RFC 1950). */
export const DICTIONARY_ID = 0xe3c6a7c2;
