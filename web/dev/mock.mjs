// A stand-in for the server, for development and screenshots only: /api/v1 in memory with live
// events, and web/dist under the policy the real server sends. `node dev/mock.mjs [port] [empty]`.
import { readFileSync } from 'node:fs'
import { createServer } from 'node:http'
import { extname } from 'node:path'

const port = Number(process.argv[2] ?? 8123)
const empty = process.argv[3] === 'empty'
const dist = new URL('../dist', import.meta.url)
const POLICY = "default-src 'self'; base-uri 'none'; form-action 'self'; frame-ancestors 'none'; object-src 'none'"
const now = () => new Date()
const iso = (t) => new Date(t).toISOString()
const MIN = 60_000

let seed = 7
const random = () => ((seed = (seed * 16807) % 2147483647) - 1) / 2147483646
const pick = (list) => list[Math.floor(random() * list.length)]

// ---- data
const NAMES = [
  ['订单对账', 'command', '0 30 2 * * *', '核对昨日支付流水与订单，差异写入告警群', 'python3 /srv/shop/reconcile.py --day yesterday'],
  ['nightly-backup', 'command', '0 0 3 * * *', 'Dump, compress and ship the shop database', 'set -e\npg_dump shop | zstd > /backup/shop-$(date +%F).sql.zst\nrclone copy /backup s3:backup/shop'],
  ['api health check', 'http', '0 */2 * * * *', 'Public API, fails when the body is not ok', 'https://api.example.com/health'],
  ['库存同步', 'http', '0 */5 * * * *', '从 ERP 拉取库存并推送到三个渠道', 'https://erp.example.cn/sync/stock'],
  ['disk alarm', 'func', '0 */30 * * * *', '', 'Monitor'],
  ['每日销售报表', 'func', '0 0 8 * * MON-FRI', '发给销售组，周末不发', 'Report'],
  ['certificate renewal', 'command', '0 17 4 * * SUN', 'certbot renew, then reload nginx', 'certbot renew --quiet && systemctl reload nginx'],
  ['search index refresh', 'http', '0 */15 * * * *', '', 'https://search.example.com/_refresh'],
  ['清理临时文件', 'func', '0 0 5 * * *', '/tmp 下超过 7 天的文件', 'Cleanup'],
  ['exchange rates', 'http', '0 5 * * * *', 'ECB reference rates', 'https://rates.example.com/daily.json'],
  ['短信余额检查', 'func', '0 0 9 * * *', '', 'sms_balance'],
  ['heartbeat', 'http', null, 'Tells the pager that we live', 'https://hc.example.com/ping/7f3a'],
]
const commandOf = (mode, text) =>
  mode === 'http'
    ? `【url】${text}\n【mode】POST\n【headers】Authorization:Bearer ***|||X-Source:timerjobs\n【data】{"full": false}\n【result】ok\n【timeout】20`
    : mode === 'command'
      ? `【command】${text}\n【workdir】/srv\n【env】TZ=Asia/Shanghai|||LEVEL=info\n【timeout】600`
      : `【name】${text}\n【arg】disk,/,90`
let nextJob = 1
const jobs = new Map()
const runs = []
let sequence = 0
const runId = (t = Date.now()) => (BigInt(t) * 2097152n + BigInt(sequence++ % 2097152)).toString(16).padStart(16, '0')

function addJob(draft, at = Date.now()) {
  const id = nextJob++
  const job = { id, description: '', enabled: true, overlap: 'allow', max_run_count: 0, misfire_policy: 'fire_once', misfire_window_seconds: 300, recovery: 'never', ...draft, stop_reason: null, run_count: 0, next_run: null, last_run: null, created: iso(at), updated: iso(at), version: 1 }
  jobs.set(id, job)
  schedule(job)
  return job
}
function fires(job, limit, from = Date.now()) {
  const list = []
  if (job.trigger.type === 'interval') {
    const step = job.trigger.seconds * 1000
    for (let t = Math.ceil((from + 1) / step) * step; list.length < limit; t += step) list.push(t)
    return list
  }
  const match = matcher(job.trigger.cron)
  if (!match) return null
  const step = match.seconds ? 1000 : MIN
  for (let t = Math.ceil((from + 1) / step) * step, end = from + 40 * 86_400_000; t < end && list.length < limit; t += step) if (match.at(new Date(t))) list.push(t)
  return list
}
const WEEK = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']
function matcher(cron) {
  let parts = String(cron).trim().toUpperCase().split(/\s+/)
  if (parts.length === 5) parts = ['0', ...parts]
  if (parts.length !== 6) return null
  const number = (s) => (WEEK.includes(s) ? WEEK.indexOf(s) : /^\d+$/.test(s) ? Number(s) : NaN)
  const field = (text, min, max) => {
    const set = new Set()
    for (const part of text.split(',')) {
      const [range, every = '1'] = part.split('/')
      const [a, b] = range === '*' || range === '?' ? [min, max] : range.split('-').map(number)
      if (!(a >= min) || (b !== undefined && !(b <= max)) || !(Number(every) > 0) || a > max) return null
      for (let n = a; n <= (b ?? (part.includes('/') ? max : a)); n += Number(every)) set.add(n)
    }
    return set
  }
  const sets = [[0, 59], [0, 59], [0, 23], [1, 31], [1, 12], [0, 7]].map(([min, max], at) => field(parts[at] === 'L' ? '31' : parts[at], min, max))
  if (sets.some((s) => s === null)) return null
  const [s, m, h, d, mo, w] = sets
  return { seconds: parts[0] !== '0', at: (t) => s.has(t.getSeconds()) && m.has(t.getMinutes()) && h.has(t.getHours()) && d.has(t.getDate()) && mo.has(t.getMonth() + 1) && (w.has(t.getDay()) || (t.getDay() === 0 && w.has(7))) }
}
const stateOf = (job) => (!job.enabled ? 'stopped' : runs.some((r) => r.job_id === job.id && r.outcome === 'running') ? 'running' : 'scheduled')
function schedule(job) {
  job.next_run = job.enabled ? iso(fires(job, 1)?.[0] ?? NaN.valueOf()) : null
}
const viewJob = (job) => ({ ...job, state: stateOf(job) })
function makeRun(job, at, outcome, extra = {}) {
  const ms = Math.round(80 + random() ** 3 * 9000)
  const ran = !['skipped', 'missed', 'waiting'].includes(outcome)
  const run = {
    id: runId(at), job_id: job.id, job_name: job.name, mode: job.mode, source: 'cron', outcome, reason: null, reason_text: null, scheduled: iso(at),
    started: ran ? iso(at + 3) : null, ended: outcome === 'running' || outcome === 'waiting' ? null : iso(at + 3 + (ran ? ms : 0)), duration_ms: ran && outcome !== 'running' ? ms : null, delay_ms: ran ? 3 : null,
    attempt: 1, exit_code: job.mode === 'command' && ran && outcome !== 'running' ? (outcome === 'success' ? 0 : 1) : null, error: null, missed: null,
    http: job.mode === 'http' && ran ? { method: 'POST', url: /【url】(.*)/.exec(job.command)?.[1] ?? job.command, status: outcome === 'success' ? 200 : 502 } : null,
    func: job.mode === 'func' ? { name: 'Monitor', args: 'disk,/,90' } : null, result: null, command: job.command, output: [], http_body: job.mode === 'http' && ran ? '{"status":"ok","took_ms":41}' : null, ...extra,
  }
  runs.unshift(run)
  job.last_run = run.started ?? job.last_run
  if (ran) job.run_count++
  return run
}
const ERRORS = ['HTTP 502 Bad Gateway: the response is not 200 to 299', '退出码 1：connection to server at "db1" failed: Connection refused', 'deadline of 30 s passed', 'disk / is at 93 %, above 90 %']
const OUTPUT = ['\u001b[36m==>\u001b[0m \u001b[1mdumping shop\u001b[0m\n', 'table orders      \u001b[32m1,204,332 rows\u001b[0m\n', 'table order_items \u001b[32m5,881,040 rows\u001b[0m\n', 'table payments    \u001b[33m  982,114 rows (slow: 3.2 s)\u001b[0m\n', '<script>alert("text, not markup")</script>\n', '压缩中 '.padEnd(10), '\r压缩中 45%', '\r压缩中 100%\n', '\u001b[38;5;208muploading\u001b[0m s3:backup/shop/2026-11-23.sql.zst \u001b[2m(412 MiB)\u001b[0m\n', '\u001b[1;32m✓ done\u001b[0m in 4.1 s\n']
const WARN = [{ stream: 'stderr', text: '\u001b[33mwarning:\u001b[0m certificate of s3 expires in 12 days\n' }]

if (!empty) {
  NAMES.forEach(([name, mode, cron, description, text]) => addJob({ name, mode, description, command: commandOf(mode, text), trigger: cron ? { type: 'cron', cron, timezone: name === '每日销售报表' ? 'Asia/Shanghai' : null } : { type: 'interval', seconds: 45 } }, Date.now() - 40 * 86_400_000))
  for (let n = 1; n <= 48; n++) addJob({ name: `shard-${String(n).padStart(2, '0')} compaction`, mode: 'command', description: 'Merges small segments', command: commandOf('command', `compact --shard ${n}`), trigger: { type: 'cron', cron: `0 ${n % 60} */${pick([1, 2, 3, 6])} * * *`, timezone: null }, enabled: n % 9 !== 0 })
  const all = [...jobs.values()]
  for (let n = 900; n > 0; n--) {
    const job = pick(all.slice(0, 20))
    const at = Date.now() - n * 95_000 - Math.floor(random() * 60_000)
    const dice = random()
    if (dice < 0.93) makeRun(job, at, 'success', { result: job.mode === 'func' ? 'used=71% free=118GiB' : null, output: OUTPUT.map((t) => ({ stream: 'stdout', text: t })).concat(WARN) })
    else if (dice < 0.965) makeRun(job, at, 'failed', { error: ERRORS[n % 4], output: WARN })
    else if (dice < 0.975) makeRun(job, at, 'timeout', { error: ERRORS[2] })
    else if (dice < 0.99) makeRun(job, at, 'skipped', { reason: 'overlap', reason_text: '上一次执行尚未结束（串行）' })
    else makeRun(job, at, 'missed', { reason: 'misfire', reason_text: '错过触发时间，超出补跑范围', missed: { from: iso(at - 900_000), to: iso(at), count: 7 } })
  }
}
const FUNCTIONS = [
  ['Test', 'tells that functions work'], ['Hello', 'greets'], ['Time', 'the run’s instant in a Go or strftime layout'], ['Echo', 'gives its text back'], ['Math', 'calculates in decimals'], ['File', 'read, write, append, delete, list and exists beneath one folder'], ['Database', 'one statement on a configured connection'], ['Email', 'sends a mail'], ['SMS', 'sends a text message'], ['Webhook', 'POSTs JSON'], ['Backup', 'packs a file or folder'], ['Cleanup', 'deletes old files'], ['Monitor', 'disk, memory, cpu, load, process, port, url'], ['Report', 'a Markdown report of the runs'],
].map(([name, doc]) => ({ name, source: 'builtin', doc, signature: `${name}(...)`, file: null, line: null }))
FUNCTIONS.push({ name: 'sms_balance', source: 'user', doc: 'Asks the gateway for the balance.\n\nFails below the limit.', signature: 'sms_balance(limit=100)', file: 'alerts.py', line: 4 })
const access = { enabled: true, you: '127.0.0.1', whitelist: ['127.0.0.1', '::1', '10.20.0.0/16'], blacklist: [] }
const logs = []
const LOGTEXT = ['run started', 'run ended', 'job saved', 'functions loaded', 'retention rested', 'client refused']
for (let n = 0; n < 400; n++) logs.push(logLine(Date.now() - n * 4_000))
function logLine(t) {
  const message = pick(LOGTEXT)
  const level = message === 'client refused' ? 'WARN' : random() < 0.02 ? 'ERROR' : 'INFO'
  return { time: iso(t), level, message: level === 'ERROR' ? 'the database did not answer within 30 s' : message, target: 'timerjobs::engine', fields: { job: Math.ceil(random() * 20), run: runId(t), took_ms: Math.round(random() * 900) } }
}

// ---- live
const listeners = new Set()
const logListeners = new Set()
const emit = (name, data) => listeners.forEach((send) => send(name, data))
function begin(job, source = 'cron', at = Date.now(), output = OUTPUT) {
  const run = makeRun(job, at, 'running', { source, watchers: new Set() })
  emit('run_started', { run: run.id, job: job.id, job_name: job.name, scheduled: run.scheduled, started: run.started, delay_ms: 3 })
  let n = 0
  const timer = setInterval(() => {
    if (run.stopped) return end('cancelled')
    if (n < output.length) {
      const piece = { stream: n === 6 ? 'stderr' : 'stdout', text: output[n++] }
      run.output.push(piece)
      run.watchers.forEach((send) => send('output', piece))
    } else end('success')
  }, 600)
  const end = (outcome) => {
    clearInterval(timer)
    Object.assign(run, { outcome, ended: iso(Date.now()), duration_ms: Date.now() - Date.parse(run.started), exit_code: job.mode === 'command' ? 0 : null, ...(outcome === 'cancelled' && { reason: 'stopped', reason_text: '任务被停止' }) })
    run.watchers.forEach((send) => send('ended', viewRun(run)))
    emit('run_ended', { run: run.id, job: job.id, outcome, duration_ms: run.duration_ms })
  }
  return run
}
const viewRun = ({ output: _o, watchers: _w, stopped: _s, command: _c, http_body: _h, ...run }) => run
if (!empty) {
  setInterval(() => begin(pick([...jobs.values()].slice(0, 12))), 9_000)
  begin(jobs.get(2)), begin(jobs.get(4))
}
setInterval(() => {
  const line = logLine(Date.now())
  logs.unshift(line)
  logListeners.forEach((send) => send('line', line))
}, 3_000)
setInterval(() => jobs.forEach((job) => job.next_run && Date.parse(job.next_run) <= Date.now() && schedule(job)), 1_000)

// ---- http
const problem = (status, title, errors = []) => ({ status, body: { type: 'about:blank', title, status, detail: title, errors }, type: 'application/problem+json' })
const ok = (body, status = 200, headers = {}) => ({ status, body, headers })
function list(items, query) {
  const at = Number(query.get('cursor') ?? 0)
  const limit = Math.min(200, Number(query.get('limit') ?? 20))
  return ok({ items: items.slice(at, at + limit), next: at + limit < items.length ? String(at + limit) : null, total: items.length })
}
function check(draft, zh, id) {
  const errors = []
  const wrong = (field, zhText, enText) => errors.push({ field, message: zh ? zhText : enText })
  if (!draft.name?.trim()) wrong('name', '名称不能为空', 'the name is required')
  else if ([...jobs.values()].some((j) => j.name === draft.name && j.id !== id)) wrong('name', '名称已被使用', 'the name is taken')
  if (draft.trigger?.type === 'cron' && !matcher(draft.trigger.cron)) wrong('trigger.cron', '无法识别的 cron 表达式', 'this cron expression cannot be read')
  if (draft.trigger?.type === 'interval' && !(draft.trigger.seconds > 0)) wrong('trigger.seconds', '应为大于 0 的整数', 'must be a whole number above 0')
  const main = { http: 'url', command: 'command', func: 'name' }[draft.mode]
  if (!draft.command?.trim()) wrong('command', `【${main}】不能为空`, `【${main}】 is required`)
  else if (draft.mode === 'http' && !/https?:\/\//.test(draft.command)) wrong('command', '【url】应以 http:// 或 https:// 开头', '【url】 must begin with http:// or https://')
  const timeout = /【timeout】(.*)/.exec(draft.command ?? '')?.[1]
  if (timeout && !(Number(timeout) > 0)) wrong('command', '【timeout】应为大于 0、不超过 86400 的秒数，例如 30 或 1.5', '【timeout】 must be seconds above 0 and at most 86400, such as 30 or 1.5')
  return errors
}
function words(trigger, zh) {
  if (trigger.type === 'interval') return zh ? `每 ${trigger.seconds} 秒执行一次` : `Every ${trigger.seconds} seconds`
  const f = trigger.cron.trim().split(/\s+/)
  if (f.length === 6 && f[1].startsWith('*/')) return zh ? `每 ${f[1].slice(2)} 分钟执行一次` : `Every ${f[1].slice(2)} minutes`
  return zh ? `在 ${f.at(-4)} 点 ${f.at(-5)} 分执行` : `At ${f.at(-4)}:${String(f.at(-5)).padStart(2, '0')}`
}
const local = (t) => new Date(t - now().getTimezoneOffset() * MIN).toISOString().slice(0, 19).replace('T', ' ')
const fire = (t) => ({ at: iso(t), local: local(t), zone: 'Asia/Shanghai (UTC+08:00)' })

function answer(method, path, query, body, headers) {
  const zh = !(headers['accept-language'] ?? 'zh').startsWith('en')
  const route = `${method} ${path}`
  const at = (pattern) => new RegExp(`^${pattern}$`).exec(route)
  let m
  if (route === 'GET /overview') return ok(overview())
  if (route === 'GET /jobs') {
    const q = (query.get('q') ?? '').toLowerCase()
    const sort = query.get('sort') || '-id'
    const key = sort.replace('-', '')
    const items = [...jobs.values()].map(viewJob).filter((j) => (!q || `${j.name} ${j.description} ${j.command}`.toLowerCase().includes(q)) && (!query.get('state') || j.state === query.get('state')) && (!query.get('mode') || j.mode === query.get('mode')))
    items.sort((a, b) => (a[key] ?? '') < (b[key] ?? '') ? -1 : 1)
    if (sort.startsWith('-')) items.reverse()
    return list(items, query)
  }
  if (route === 'POST /jobs/check') {
    const errors = check(body, zh)
    const next = body.trigger && !errors.some((e) => e.field.startsWith('trigger')) ? fires(body, 10).map(fire) : []
    return ok({ valid: !errors.length, errors, words: next.length ? words(body.trigger, zh) : null, next, warnings: body.trigger?.cron?.startsWith('* ') ? [{ code: 'every_second', message: zh ? '每秒都会触发' : 'It fires every second' }] : [], form: null, command: body.command })
  }
  if (route === 'POST /jobs/bulk') {
    return ok({ results: body.ids.map((id) => {
      const job = jobs.get(id)
      if (!job) return { id, ok: false, problem: problem(404, 'no such job').body }
      if (body.action === 'delete') jobs.delete(id)
      else if (body.action === 'run') begin(job, 'manual')
      else toggle(job, body.action === 'start')
      return { id, ok: true, problem: null }
    }) })
  }
  if (route === 'GET /jobs/export') return ok([...jobs.values()])
  if (route === 'POST /jobs/import') {
    let drafts
    try { drafts = JSON.parse(body) } catch { return problem(400, 'cannot be read') }
    const added = [], problems = []
    drafts.forEach((draft, index) => {
      const errors = check(draft, zh)
      if (errors.length) problems.push({ index, name: draft.name, errors })
      else added.push({ id: query.get('dry_run') === 'true' ? null : addJob(draft).id, name: draft.name })
    })
    return ok({ added, problems })
  }
  if (route === 'POST /jobs') {
    const errors = check(body, zh)
    if (errors.length) return problem(422, zh ? '有字段不正确' : 'Some fields are wrong', errors)
    const job = addJob(body)
    return ok(viewJob(job), 201, { ETag: `"${job.version}"` })
  }
  if ((m = at('(GET|PATCH|DELETE) /jobs/(\\d+)'))) {
    const job = jobs.get(Number(m[2]))
    if (!job) return problem(404, zh ? '没有这个任务' : 'no such job')
    if (method !== 'GET') {
      const match = headers['if-match']
      if (!match) return problem(428, 'If-Match is required')
      if (match !== '*' && match !== `"${job.version}"`) return problem(412, 'the version differs')
    }
    if (method === 'DELETE') return jobs.delete(job.id), emit('job_deleted', { job: job.id }), { status: 204 }
    if (method === 'PATCH') {
      const errors = check({ ...job, ...body }, zh, job.id)
      if (errors.length) return problem(422, zh ? '有字段不正确' : 'Some fields are wrong', errors)
      Object.assign(job, body, { version: job.version + 1, updated: iso(Date.now()) })
      schedule(job)
      emit('job_changed', { job: job.id })
    }
    return ok(viewJob(job), 200, { ETag: `"${job.version}"` })
  }
  if ((m = at('POST /jobs/(\\d+)/(run|stop|start)'))) {
    const job = jobs.get(Number(m[1]))
    if (!job) return problem(404, 'no such job')
    if (m[2] === 'run') return ok({ run: begin(job, 'manual').id, skipped: null }, 202)
    toggle(job, m[2] === 'start')
    return ok(viewJob(job))
  }
  if ((m = at('GET /jobs/(\\d+)/fires'))) {
    const job = jobs.get(Number(m[1]))
    return job ? ok({ items: job.enabled ? fires(job, Number(query.get('limit') ?? 10)).map(fire) : [] }) : problem(404, 'no such job')
  }
  if (route === 'GET /runs') {
    const outcomes = (query.get('outcome') ?? '').split(',').filter(Boolean)
    return list(runs.filter((r) => (!query.get('job') || r.job_id === Number(query.get('job'))) && (!outcomes.length || outcomes.includes(r.outcome)) && (!query.get('source') || r.source === query.get('source')) && (!query.get('from') || r.scheduled >= query.get('from')) && (!query.get('to') || r.scheduled <= query.get('to'))).map(viewRun), query)
  }
  if (route === 'POST /runs/test') {
    const errors = check({ ...body, name: `test ${Date.now()}` }, zh)
    if (errors.length) return problem(422, zh ? '有字段不正确' : 'Some fields are wrong', errors)
    return ok({ run: begin({ ...body, id: 0, name: body.name || 'test', run_count: 0 }, 'api').id, job: 0 }, 202)
  }
  if ((m = at('(GET|POST) /runs/([0-9a-f]{16})(/stop|/again|/output)?'))) {
    const run = runs.find((r) => r.id === m[2])
    if (!run) return problem(404, zh ? '没有这条记录' : 'no such run')
    if (m[3] === '/stop') return (run.stopped = true), ok({})
    if (m[3] === '/again') return ok({ run: begin(jobs.get(run.job_id), 'manual').id, skipped: null }, 202)
    const text = (stream) => run.output.filter((o) => o.stream === stream).map((o) => o.text).join('')
    if (m[3] === '/output') return { status: 200, body: text('stdout') + text('stderr'), type: 'text/plain; charset=utf-8', headers: { 'Content-Disposition': 'attachment; filename="output.txt"' } }
    return ok({ ...viewRun(run), command: run.command, stdout: text('stdout'), stderr: text('stderr'), http_body: run.http_body })
  }
  if (route === 'GET /functions') return ok({ items: FUNCTIONS, failed: [{ file: 'broken.py', line: 12, error: "SyntaxError: expected ':'" }], python: { available: true, version: '3.13.1', reason: null } })
  if (route === 'POST /functions/reload') return ok({ loaded: 1, removed: 0, failed: 1 })
  if ((m = at('GET /functions/(\\w+)'))) {
    const fn = FUNCTIONS.find((f) => f.name === m[1])
    return fn ? ok({ ...fn, code: fn.source === 'user' ? 'def sms_balance(limit=100):\n    """Asks the gateway for the balance."""\n    left = gateway.balance()\n    print("left:", left)\n    if left < float(limit):\n        raise RuntimeError(f"only {left} left")\n    return left' : null, error: null }) : problem(404, 'no such function')
  }
  if ((m = at('POST /functions/(\\w+)/try'))) return ok({ run: begin({ id: 0, name: m[1], mode: 'func', command: '', run_count: 0 }, 'api', Date.now(), ['left: 812\n']).id }, 202)
  if (route === 'GET /system') {
    const set = (key, env, value, fallback, source = 'default', live = true) => ({ key, env, value, default: fallback, source, live })
    return ok({ version: '3.0.0', uptime_seconds: 93_784, memory_bytes: 48_300_000, database: { kind: 'sqlite', status: 'ok', url: './data/timerjobs.db', size_bytes: 214_000_000, schema: 6 }, scheduler: { status: 'ok', running: 2, waiting: 0, max_concurrent: 64, ticker_lag_ms: 2, timezone: 'Asia/Shanghai' },
      settings: [set('server.host', 'HOST', '0.0.0.0', '0.0.0.0', 'default', false), set('server.port', 'PORT', '8000', '8000', 'flag', false), set('server.allowed_hosts', 'ALLOWED_HOSTS', 'jobs.example.cn', '', 'environment'), set('log.level', 'LOG_LEVEL', 'info', 'info'), set('jobs.timezone', 'TZ', 'Asia/Shanghai', '', 'environment', false), set('jobs.max_concurrent', 'JOBS_MAX_CONCURRENT', '64', '64'), set('retention.runs', 'RETENTION_RUNS', '5000', '1000', 'file'), set('smtp.password', 'SMTP_PASSWORD', null, '', 'environment')] })
  }
  if (route === 'GET /logs') {
    const rank = ['error', 'warn', 'info', 'debug', 'trace']
    return list(logs.filter((l) => (!query.get('level') || rank.indexOf(l.level.toLowerCase()) <= rank.indexOf(query.get('level'))) && (!query.get('q') || JSON.stringify(l).toLowerCase().includes(query.get('q').toLowerCase())) && (!query.get('day') || l.time.startsWith(query.get('day')))), query)
  }
  if (route === 'GET /access') return ok(access)
  if ((m = at('POST /access/(whitelist|blacklist)'))) return /^[\da-f.:/]+$/i.test(body.entry) ? (access[m[1]].push(body.entry), ok(access)) : problem(422, zh ? '不是 IP 地址或网段' : 'not an address or a block')
  if ((m = at('DELETE /access/(whitelist|blacklist)/(.+)'))) return (access[m[1]] = access[m[1]].filter((e) => e !== decodeURIComponent(m[2]))), ok(access)
  return problem(404, 'no such path')
}
function toggle(job, enabled) {
  Object.assign(job, { enabled, version: job.version + 1 })
  schedule(job)
  emit('job_changed', { job: job.id })
}
function overview() {
  const t = Date.now()
  const views = [...jobs.values()].map(viewJob)
  const count = (state) => views.filter((j) => j.state === state).length
  const day = runs.filter((r) => Date.parse(r.scheduled) > t - 86_400_000)
  const bad = (r) => ['failed', 'timeout', 'lost'].includes(r.outcome)
  const success = day.filter((r) => r.outcome === 'success').length, failed = day.filter(bad).length
  const hour = Math.floor(t / 3_600_000) * 3_600_000
  const planned = views.filter((j) => j.enabled).flatMap((j) => fires(j, 300, t).filter((f) => f < t + 86_400_000).map((f) => ({ job: j.id, name: j.name, at: f }))).sort((a, b) => a.at - b.at)
  const slot = Math.floor(t / 900_000) * 900_000
  return {
    now: iso(t), jobs: { total: views.length, scheduled: count('scheduled'), running: count('running'), stopped: count('stopped') },
    running: runs.filter((r) => r.outcome === 'running').map(viewRun), upcoming: planned.filter((p) => p.at < t + 3_600_000).slice(0, 200).map((p) => ({ ...p, at: iso(p.at) })), failures: runs.filter(bad).slice(0, 10).map(viewRun),
    day: { runs: day.length, success, failed, rate: success + failed ? success / (success + failed) : null, per_hour: Array.from({ length: 24 }, (_, n) => {
      const from = hour - (23 - n) * 3_600_000
      const part = day.filter((r) => Date.parse(r.scheduled) >= from && Date.parse(r.scheduled) < from + 3_600_000)
      const s = part.filter((r) => r.outcome === 'success').length, f = part.filter(bad).length
      return { at: iso(from), success: s, failed: f, other: part.length - s - f }
    }) },
    load: Array.from({ length: 96 }, (_, n) => ({ at: iso(slot + n * 900_000), fires: planned.filter((p) => p.at >= slot + n * 900_000 && p.at < slot + (n + 1) * 900_000).length })),
    health: { status: 'ok', database: 'ok', scheduler: 'ok', ticker_lag_ms: 2, waiting: 0, uptime_seconds: 93_784, memory_bytes: 48_300_000, disk_free_bytes: 126_000_000_000, version: '3.0.0' },
  }
}

const TYPES = { '.html': 'text/html; charset=utf-8', '.js': 'text/javascript', '.css': 'text/css', '.svg': 'image/svg+xml', '.woff2': 'font/woff2' }
createServer(async (request, response) => {
  const url = new URL(request.url, 'http://x')
  if (!url.pathname.startsWith('/api/v1/')) {
    try {
      const file = url.pathname === '/' ? '/index.html' : url.pathname
      const bytes = readFileSync(new URL(`.${file}`, `${dist}/`))
      response.writeHead(200, { 'Content-Type': TYPES[extname(file)] ?? 'application/octet-stream', 'Content-Security-Policy': POLICY }).end(bytes)
    } catch {
      response.writeHead(404).end()
    }
    return
  }
  const path = url.pathname.slice('/api/v1'.length)
  const live = /^\/runs\/([0-9a-f]{16})\/live$/.exec(path)
  if (path === '/events' || path === '/logs/live' || live) {
    response.writeHead(200, { 'Content-Type': 'text/event-stream', 'Cache-Control': 'no-store' })
    response.write(': hello\n\n')
    const send = (name, data) => response.write(`event: ${name}\ndata: ${JSON.stringify(data)}\n\n`)
    const set = path === '/events' ? listeners : path === '/logs/live' ? logListeners : runs.find((r) => r.id === live[1])?.watchers
    const run = live && runs.find((r) => r.id === live[1])
    if (run) run.output.forEach((piece) => send('output', piece))
    if (run && run.outcome !== 'running') return response.end(`event: ended\ndata: ${JSON.stringify(viewRun(run))}\n\n`)
    set?.add(send)
    request.on('close', () => set?.delete(send))
    return
  }
  let text = ''
  for await (const chunk of request) text += chunk
  let body = text
  if (text && request.headers['content-type'] === 'application/json' && path !== '/jobs/import') body = JSON.parse(text)
  const result = answer(request.method, path, url.searchParams, body, request.headers)
  const type = result.type ?? 'application/json'
  response.writeHead(result.status, { 'Content-Type': type, ...result.headers })
  response.end(result.body === undefined ? undefined : type.startsWith('text') ? result.body : JSON.stringify(result.body))
}).listen(port, '127.0.0.1', () => console.log(`http://127.0.0.1:${port}/`))
