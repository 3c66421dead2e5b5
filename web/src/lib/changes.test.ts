import { expect, it } from 'vitest'
import { changesOf } from './changes'

it('shows each field of either side, parts by their path', () => {
  expect(changesOf({ name: 'a', trigger: { type: 'cron', cron: '* * * * *' } }, { name: 'b', trigger: { type: 'interval', seconds: 5 } })).toEqual([
    { field: 'name', before: 'a', after: 'b' },
    { field: 'trigger.type', before: 'cron', after: 'interval' },
    { field: 'trigger.cron', before: '* * * * *', after: null },
    { field: 'trigger.seconds', before: null, after: '5' },
  ])
})

it('takes one side alone, and none', () => {
  expect(changesOf(null, { enabled: false, list: ['a', 1], none: null })).toEqual([
    { field: 'enabled', before: null, after: 'false' },
    { field: 'list', before: null, after: '["a",1]' },
    { field: 'none', before: null, after: 'null' },
  ])
  expect(changesOf({ text: '' }, null)).toEqual([{ field: 'text', before: '', after: null }])
  expect(changesOf(null, null)).toEqual([])
})
