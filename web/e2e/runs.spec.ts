// Runs: output as it is printed, ending one, finding one, and why one did not run.
import { readFileSync, writeFileSync } from 'node:fs'
import { addJob, ask, ranJob, runJob } from './api'
import { expect, test } from './base'

test('output is seen while it is printed, with its colours', async ({ page, server }, info) => {
  // The run goes on when this file is there: how fast the page is decides nothing.
  const gate = info.outputPath('gate')
  const line = (n: number) => `printf 'line ${n} \\033[1;32mgreen\\033[0m\\n'`
  const job = await addJob(server, 'talks', {
    command: `【command】${line(1)}; ${line(2)}; until [ -e '${gate}' ]; do sleep 0.05; done; ${line(3)}; echo oops >&2; exit 4`,
  })
  const run = await runJob(server, job.id)
  await page.goto(`/#/runs/${run}`)
  const log = page.getByRole('log')
  await expect(log).toContainText('line 1 green')
  await expect(page.locator('.pagehead .badge')).toHaveText('Running')
  await expect(log).not.toContainText('line 3')
  writeFileSync(gate, '')
  await expect(log).toContainText('line 3 green')
  await expect(log.locator('.fg-green').first()).toHaveText('green')
  await expect(page.locator('.pagehead .badge')).toHaveText('Failed')
  await expect(log.locator('.line.err')).toHaveText('oops')
  await expect(page.locator('.rows', { hasText: 'Exit code' })).toContainText('4')
  // The record shows the same when it is opened later.
  await page.reload()
  await expect(log.locator('.line')).toHaveCount(4)
  await expect(log.locator('.fg-green')).toHaveCount(3)
})

test('a run is stopped, and run again', async ({ page, server }) => {
  const job = await addJob(server, 'does not end', { command: '【command】echo started; sleep 60' })
  await page.goto(`/#/runs/${await runJob(server, job.id)}`)
  await expect(page.getByRole('log')).toContainText('started')
  await page.getByRole('button', { name: 'Stop', exact: true }).click()
  await expect(page.locator('.pagehead .badge')).toHaveText('Cancelled')
  await expect(page.locator('.note.warn')).toContainText('stopped by hand')
  await expect(page.getByRole('button', { name: 'Stop', exact: true })).toHaveCount(0)
  const before = page.url()
  await page.getByRole('button', { name: 'Run again', exact: true }).click()
  await expect(page.locator('.pagehead .badge')).toHaveText('Running')
  expect(page.url()).not.toBe(before)
  await page.getByRole('button', { name: 'Stop', exact: true }).click()
  await expect(page.locator('.pagehead .badge')).toHaveText('Cancelled')
})

test('output is searched, wrapped and downloaded', async ({ page, server }) => {
  const job = await addJob(server, 'many lines', { command: '【command】for n in $(seq 1 400); do echo "row $n"; done; printf "a \\033[31mne\\033[0medle here\\n"' })
  await page.goto(`/#/runs/${await ranJob(server, job.id)}`)
  await page.getByRole('searchbox', { name: 'Find in output', exact: true }).fill('needle')
  await expect(page.locator('.find')).toContainText('1 / 1')
  await expect(page.locator('.terminal mark')).toHaveText(['ne', 'edle'])
  await expect(page.locator('.line.current')).toBeInViewport()
  await page.getByRole('searchbox', { name: 'Find in output', exact: true }).fill('row 39')
  await expect(page.locator('.find')).toContainText('1 / 11')
  await page.getByRole('button', { name: 'Next', exact: true }).click()
  await expect(page.locator('.find')).toContainText('2 / 11')
  await expect(page.locator('.line.current')).toHaveText('row 390')
  await page.getByRole('button', { name: 'Wrap', exact: true }).click()
  await expect(page.locator('.terminal')).not.toHaveClass(/wrap/)
  const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('link', { name: 'Download', exact: true }).click()])
  const text = readFileSync(await download.path(), 'utf8')
  expect(text).toContain('row 1\nrow 2\n')
  expect(text).toContain('row 400\n')
})

test('a long output keeps the page usable and shows its end', async ({ page, server }) => {
  const job = await addJob(server, 'prints a lot', { command: '【command】seq 1 60000' })
  const run = await ranJob(server, job.id)
  await page.goto(`/#/runs/${run}`)
  await expect(page.locator('.terminal .line').last()).toHaveText('60000')
  expect(await page.locator('.terminal .line').count()).toBeLessThanOrEqual(5_002)
  await expect(page.locator('.terminal')).toContainText('Earlier lines not shown')
})

test('a skipped run says why in words', async ({ page, server }) => {
  const job = await addJob(server, 'one at a time', { overlap: 'skip', command: '【command】sleep 60', trigger: { type: 'interval', seconds: 1 } })
  await expect.poll(async () => (await ask<{ total: number }>(server, 'GET', `/runs?job=${job.id}&outcome=skipped`)).total).toBeGreaterThan(0)
  await ask(server, 'POST', `/jobs/${job.id}/stop`)
  await page.goto(`/#/runs?job=${job.id}`)
  await page.getByRole('button', { name: 'Not run', exact: true }).click()
  await page.locator('tbody tr', { hasText: 'Skipped' }).first().locator('a.name').click()
  await expect(page.locator('.note.warn')).toContainText('The job skips a fire while a run is going')
  await expect(page.getByText('This run never started, so there is no output.')).toBeVisible()
})

test('runs are filtered by outcome and time, and charted', async ({ page, server }) => {
  const good = await addJob(server, 'goes well')
  const bad = await addJob(server, 'goes wrong', { command: '【command】exit 1' })
  await ranJob(server, good.id)
  await ranJob(server, bad.id)
  await page.goto('/#/runs')
  await page.getByRole('button', { name: 'Failed', exact: true }).click()
  await expect(page.locator('tbody tr', { hasText: 'goes wrong' })).toHaveCount(1)
  await expect(page.locator('tbody tr', { hasText: 'goes well' })).toHaveCount(0)
  await expect(page.locator('.bars a').first()).toBeVisible()
  await page.getByLabel('Time range').selectOption('custom')
  await page.getByLabel('From').fill('2020-01-01T00:00')
  await page.getByLabel('To', { exact: true }).fill('2020-01-02T00:00')
  await expect(page.getByText('Nothing matches')).toBeVisible()
  await page.getByRole('button', { name: 'Clear filters', exact: true }).click()
  await expect(page.locator('tbody tr', { hasText: 'goes well' }).first()).toBeVisible()
})

test('a list of runs follows what happens', async ({ page, server }) => {
  const job = await addJob(server, 'seen at once')
  await page.goto(`/#/runs?job=${job.id}`)
  await expect(page.getByText('Nothing matches')).toBeVisible()
  await ranJob(server, job.id)
  await expect(page.locator('tbody .badge')).toHaveText('Success')
})
