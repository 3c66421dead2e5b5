// Fails when the JavaScript of the first load (the entry and all it imports statically, plus the
// overview page that the entry opens) is above 350 kB gzipped. Prints what each part weighs.
import { readFileSync } from 'node:fs'
import { gzipSync } from 'node:zlib'

const LIMIT = 350_000
const dist = new URL('../dist/', import.meta.url)
const manifest = JSON.parse(readFileSync(new URL('.vite/manifest.json', dist), 'utf8'))
const gzipped = (file) => gzipSync(readFileSync(new URL(file, dist)), { level: 9 }).length
const kb = (bytes) => `${(bytes / 1000).toFixed(1)} kB`

const first = new Set()
const walk = (key) => {
  const chunk = manifest[key]
  if (!chunk || first.has(chunk.file)) return
  first.add(chunk.file)
  for (const next of chunk.imports ?? []) walk(next)
}
walk('index.html')
walk('src/pages/Overview.vue')

let js = 0
for (const file of first) {
  const size = gzipped(file)
  js += size
  console.log(`first load  ${kb(size).padStart(9)}  ${file}`)
}
let css = 0
for (const file of new Set(Object.values(manifest).flatMap((c) => c.css ?? []))) css += gzipped(file)
let all = 0
for (const file of new Set(Object.values(manifest).map((c) => c.file).filter((f) => f.endsWith('.js')))) all += gzipped(file)
console.log(`JavaScript: first load ${kb(js)}, all pages ${kb(all)}; CSS ${kb(css)} (gzipped)`)
if (js > LIMIT) {
  console.error(`the first load is above ${kb(LIMIT)}`)
  process.exit(1)
}
