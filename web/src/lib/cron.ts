// The cron builder: the common schedules as a few choices, written as the six-field expression
// (second first) and read back. Any other expression is `custom` and is left as it is.

export type Plan =
  | { kind: 'seconds'; every: number }
  | { kind: 'minutes'; every: number }
  | { kind: 'hourly'; minute: number; every: number }
  | { kind: 'daily'; hour: number; minute: number }
  | { kind: 'weekly'; days: number[]; hour: number; minute: number }
  | { kind: 'monthly'; day: number | 'L'; hour: number; minute: number }
  | { kind: 'custom' }

export type PlanKind = Plan['kind']

const DAYS = ['SUN', 'MON', 'TUE', 'WED', 'THU', 'FRI', 'SAT']

export function build(plan: Exclude<Plan, { kind: 'custom' }>): string {
  switch (plan.kind) {
    case 'seconds':
      return plan.every === 1 ? '* * * * * *' : `*/${plan.every} * * * * *`
    case 'minutes':
      return plan.every === 1 ? '0 * * * * *' : `0 */${plan.every} * * * *`
    case 'hourly':
      return `0 ${plan.minute} ${plan.every === 1 ? '*' : `*/${plan.every}`} * * *`
    case 'daily':
      return `0 ${plan.minute} ${plan.hour} * * *`
    case 'weekly':
      return `0 ${plan.minute} ${plan.hour} * * ${weekdays(plan.days)}`
    case 'monthly':
      return `0 ${plan.minute} ${plan.hour} ${plan.day} * *`
  }
}

export function read(expression: string): Plan {
  let fields = expression.trim().toUpperCase().split(/\s+/)
  if (fields.length === 5) fields = ['0', ...fields]
  if (fields.length !== 6) return { kind: 'custom' }
  const [second = '', minute = '', hour = '', day = '', month = '', week = ''] = fields.map((f) => (f === '?' ? '*' : f))
  if (month !== '*') return { kind: 'custom' }
  const rest = [minute, hour, day, week].join(' ')
  const everySecond = step(second)
  if (rest === '* * * *' && everySecond !== null && everySecond <= 30) return { kind: 'seconds', every: everySecond }
  if (second !== '0') return { kind: 'custom' }
  const everyMinute = step(minute)
  if (everyMinute !== null && [hour, day, week].every((f) => f === '*')) return { kind: 'minutes', every: everyMinute }
  const m = number(minute, 0, 59)
  if (m === null) return { kind: 'custom' }
  const everyHour = step(hour)
  if (everyHour !== null && day === '*' && week === '*') return { kind: 'hourly', minute: m, every: everyHour }
  const h = number(hour, 0, 23)
  if (h === null) return { kind: 'custom' }
  if (day === '*' && week === '*') return { kind: 'daily', hour: h, minute: m }
  if (day === '*') {
    const days = readWeekdays(week)
    return days ? { kind: 'weekly', days, hour: h, minute: m } : { kind: 'custom' }
  }
  const d = day === 'L' ? 'L' : number(day, 1, 31)
  return d !== null && week === '*' ? { kind: 'monthly', day: d, hour: h, minute: m } : { kind: 'custom' }
}

/** What a kind starts with when it is chosen. */
export function preset(kind: Exclude<PlanKind, 'custom'>): Exclude<Plan, { kind: 'custom' }> {
  switch (kind) {
    case 'seconds':
      return { kind, every: 10 }
    case 'minutes':
      return { kind, every: 5 }
    case 'hourly':
      return { kind, minute: 0, every: 1 }
    case 'daily':
      return { kind, hour: 9, minute: 0 }
    case 'weekly':
      return { kind, days: [1, 2, 3, 4, 5], hour: 9, minute: 0 }
    case 'monthly':
      return { kind, day: 1, hour: 9, minute: 0 }
  }
}

function number(field: string, min: number, max: number): number | null {
  if (!/^\d{1,2}$/.test(field)) return null
  const n = Number(field)
  return n >= min && n <= max ? n : null
}

function step(field: string): number | null {
  if (field === '*') return 1
  const match = /^(?:\*|0)\/(\d{1,2})$/.exec(field)
  const n = match ? Number(match[1]) : 0
  return n > 0 ? n : null
}

function weekdays(days: number[]): string {
  const sorted = [...new Set(days)].sort((a, b) => a - b)
  if (sorted.join() === '1,2,3,4,5') return 'MON-FRI'
  return sorted.length === 0 ? '*' : sorted.map((d) => DAYS[d]).join(',')
}

function readWeekdays(field: string): number[] | null {
  const days = new Set<number>()
  for (const part of field.split(',')) {
    const ends = part.split('-').map((p) => (DAYS.includes(p) ? DAYS.indexOf(p) : number(p, 0, 7)))
    const [from, to = from] = ends
    if (from === null || from === undefined || to === null || to === undefined || ends.length > 2 || from > to) return null
    for (let d = from; d <= to; d++) days.add(d % 7)
  }
  return [...days].sort((a, b) => a - b)
}
