// A span of time as the filters have it: the latest hours, or from and to.

export interface Span {
  span: string
  /** As a datetime field has them, in the reader's zone; only of a custom span. */
  from: string
  to: string
}

const HOURS = new Map([['1h', 1], ['24h', 24], ['7d', 168]])
export const SPANS = [...HOURS.keys(), 'custom']

/** The instants that the server is asked for. What is no instant, as in an address by hand, is left out. */
export function rangeOf({ span, from, to }: Span, now: number): { from?: string; to?: string } {
  if (span === 'custom') return { ...instant('from', from), ...instant('to', to) }
  const hours = HOURS.get(span)
  return hours ? { from: new Date(now - hours * 3_600_000).toISOString() } : {}
}

function instant(name: 'from' | 'to', text: string): { from?: string; to?: string } {
  const at = Date.parse(text)
  return Number.isNaN(at) ? {} : { [name]: new Date(at).toISOString() }
}
