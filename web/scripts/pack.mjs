// Writes a gzip twin beside each text of dist. The server sends the twin to who takes gzip, so that it
// packs nothing itself; woff2 is packed already.
import { readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { extname } from 'node:path'
import { gzipSync } from 'node:zlib'

const dist = new URL('../dist/', import.meta.url)
for (const name of readdirSync(dist, { recursive: true })) {
  if (name.startsWith('.') || !['.js', '.css', '.svg', '.html'].includes(extname(name))) continue
  const text = readFileSync(new URL(name, dist))
  const packed = gzipSync(text, { level: 9 })
  if (packed.length < text.length) writeFileSync(new URL(`${name}.gz`, dist), packed)
}
