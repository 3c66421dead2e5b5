import { describe, expect, it } from 'vitest'
import { build, preset, read, type Plan } from './cron'

describe('the cron builder', () => {
  it.each(['seconds', 'minutes', 'hourly', 'daily', 'weekly', 'monthly'] as const)('reads back its own %s', (kind) => {
    const plan = preset(kind)
    expect(read(build(plan))).toEqual(plan)
  })

  it.each<[string, Plan]>([
    ['* * * * *', { kind: 'minutes', every: 1 }],
    ['0 */15 * * * ?', { kind: 'minutes', every: 15 }],
    ['30 3 * * *', { kind: 'daily', hour: 3, minute: 30 }],
    ['0 0 8 ? * 1-5', { kind: 'weekly', days: [1, 2, 3, 4, 5], hour: 8, minute: 0 }],
    ['0 0 8 * * sun,7,wed', { kind: 'weekly', days: [0, 3], hour: 8, minute: 0 }],
    ['0 0 0 L * *', { kind: 'monthly', day: 'L', hour: 0, minute: 0 }],
  ])('reads %s', (expression, plan) => {
    expect(read(expression)).toEqual(plan)
  })

  it.each(['@daily', '0 0 8 1 1 *', '0 0 8 15W * *', '0 0 8 * * FRI#2', '5 0 8 * * *', '0 0 8 1 * MON', '', '0 0 8-9 * * *', '0 99 1 * * *'])(
    'leaves %s alone',
    (expression) => {
      expect(read(expression)).toEqual({ kind: 'custom' })
    },
  )
})
