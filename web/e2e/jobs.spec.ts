// The list of jobs: finding, doing many at once, leaving and coming back as a file; and what an empty
// server offers.
import { readFileSync } from 'node:fs'
import { addJob, ask, ranJob } from './api'
import { expect, test } from './base'
import { startServer } from './server'

test('an empty server teaches with three jobs, one click each', async ({ page, watch }) => {
  const server = await startServer()
  watch.allowOrigin(server.url)
  try {
    await page.goto(`${server.url}/`)
    await expect(page.getByRole('heading', { name: 'Start with an example', exact: true })).toBeVisible()
    await page.getByRole('button', { name: /Disk usage/ }).click()
    await expect(page.getByRole('heading', { name: 'Disk usage', exact: true })).toBeVisible()
    await expect(page.locator('table .badge').first()).toHaveText('Success')
    for (const sample of [/Health check/, /Disk alarm/]) {
      const { items } = await ask<{ items: { id: number }[] }>(server, 'GET', '/jobs')
      for (const { id } of items) await ask(server, 'DELETE', `/jobs/${id}`, undefined, { 'If-Match': '*' })
      await page.goto(`${server.url}/#/jobs`)
      await page.reload()
      await page.getByRole('button', { name: sample }).click()
      await expect(page.getByRole('heading', { name: sample })).toBeVisible()
    }
  } finally {
    // What the page is connected to must not break under it.
    await page.goto('about:blank')
    await server.stop()
  }
})

test('jobs are searched, filtered, sorted and paged by the server', async ({ page, server }) => {
  for (let n = 1; n <= 27; n++) await addJob(server, `paged ${String(n).padStart(2, '0')}`, { enabled: n % 2 === 0 })
  await page.goto('/#/jobs')
  await page.getByRole('searchbox').fill('paged')
  await expect(page).toHaveURL(/q=paged/)
  const names = page.locator('tbody .name')
  await expect(names.first()).toHaveText('paged 27')
  await expect(page.locator('.pager')).toContainText('1–25 of 27')
  await page.getByRole('button', { name: 'Next', exact: true }).click()
  await expect(names).toHaveText(['paged 02', 'paged 01'])
  await page.getByRole('button', { name: 'Previous', exact: true }).click()
  await page.getByRole('button', { name: 'Name', exact: true }).click()
  await expect(names.first()).toHaveText('paged 01')
  await page.getByLabel('State').selectOption('stopped')
  await expect(page.locator('.pager')).toContainText('of 14')
  await page.getByLabel('Type').selectOption('http')
  await expect(page.getByText('Nothing matches')).toBeVisible()
  // The address says what is looked at: a reload shows the same.
  await page.reload()
  await expect(page.getByText('Nothing matches')).toBeVisible()
  await page.getByRole('button', { name: 'Clear filters', exact: true }).click()
  await expect(names.first()).toBeVisible()
})

test('all that matches is taken together, beyond the page', async ({ page, server }) => {
  for (let n = 1; n <= 30; n++) await addJob(server, `together ${n}`)
  await page.goto('/#/jobs?q=together')
  await page.getByLabel('Select all jobs on this page').check()
  await page.getByRole('button', { name: 'Select all 30', exact: true }).click()
  await page.getByRole('region', { name: '30 selected', exact: true }).getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete', exact: true }).click()
  await expect(page.getByText('Deleted: 30')).toBeVisible()
  await expect(page.getByText('Nothing matches')).toBeVisible()
})

test('many jobs are stopped, started, run and deleted at once', async ({ page, server }) => {
  for (const name of ['many a', 'many b', 'many c']) await addJob(server, name)
  await page.goto('/#/jobs?q=many')
  await expect(page.locator('tbody tr')).toHaveCount(3)
  await page.getByLabel('Select all jobs on this page').check()
  const bulk = page.getByRole('region', { name: '3 selected', exact: true })
  await bulk.getByRole('button', { name: 'Disable', exact: true }).click()
  await expect(page.getByText('Disabled: 3')).toBeVisible()
  await expect(page.locator('tbody .badge')).toHaveText(['Disabled', 'Disabled', 'Disabled'])
  await bulk.getByRole('button', { name: 'Enable', exact: true }).click()
  await expect(page.locator('tbody .badge')).toHaveText(['Enabled', 'Enabled', 'Enabled'])
  await bulk.getByRole('button', { name: 'Run now', exact: true }).click()
  await expect(page.getByText('Started: 3')).toBeVisible()
  await bulk.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Cancel', exact: true }).click()
  await expect(page.locator('tbody tr')).toHaveCount(3)
  await bulk.getByRole('button', { name: 'Delete', exact: true }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete', exact: true }).click()
  await expect(page.getByText('Nothing matches')).toBeVisible()
  expect(await ask(server, 'GET', '/jobs?q=many')).toMatchObject({ total: 0 })
})

test('one job is run, duplicated and deleted from its menu', async ({ page, server }) => {
  const job = await addJob(server, 'from the menu')
  await page.goto('/#/jobs?q=from+the+menu')
  await page.getByRole('button', { name: 'Run from the menu now', exact: true }).click()
  await page.getByRole('link', { name: 'Watch', exact: true }).click()
  await expect(page.getByRole('log')).toContainText('hello')
  await page.goto('/#/jobs?q=from+the+menu')
  await page.getByRole('button', { name: 'More actions for from the menu', exact: true }).click()
  await page.getByRole('menuitem', { name: 'Duplicate', exact: true }).click()
  await expect(page.getByRole('textbox', { name: 'Name', exact: true })).toHaveValue('from the menu copy')
  await page.getByRole('button', { name: 'Create job', exact: true }).click()
  await expect(page.getByRole('heading', { name: 'from the menu copy', exact: true })).toBeVisible()
  await page.getByRole('button', { name: 'More actions', exact: true }).click()
  await page.getByRole('menuitem', { name: 'Delete', exact: true }).click()
  await page.getByRole('alertdialog').getByRole('button', { name: 'Delete', exact: true }).click()
  await expect(page.getByRole('heading', { name: 'Jobs', exact: true })).toBeVisible()
  const { items } = await ask<{ items: { id: number }[] }>(server, 'GET', '/jobs?q=from+the+menu')
  expect(items.map((item) => item.id)).toEqual([job.id])
})

for (const format of ['JSON', 'YAML'] as const) {
  test(`jobs go into a ${format} file and come back`, async ({ page, server }) => {
    const names = ['a', '乙'].map((name) => `round ${format} ${name}`)
    const made = []
    for (const name of names) made.push(await addJob(server, name, { description: 'a "quoted": text', command: '【command】echo 1\n【env】A=1|||B=2' }))
    await page.goto(`/#/jobs?q=round+${format}`)
    for (const name of names) await page.getByLabel(`Select ${name}`).check()
    await page.getByRole('button', { name: 'Import and export', exact: true }).click()
    const [download] = await Promise.all([page.waitForEvent('download'), page.getByRole('menuitem', { name: `Export as ${format}` }).click()])
    const text = readFileSync(await download.path(), 'utf8')
    for (const { id } of made) await ask(server, 'DELETE', `/jobs/${id}`, undefined, { 'If-Match': '*' })

    await page.getByRole('button', { name: 'Import and export', exact: true }).click()
    await page.getByRole('menuitem', { name: 'Import' }).click()
    await page.getByRole('textbox', { name: 'Import jobs', exact: true }).fill(text)
    await expect(page.getByRole('button', { name: 'Import 0', exact: true })).toBeDisabled()
    await page.getByRole('button', { name: 'Check', exact: true }).click()
    await expect(page.getByText('Jobs that can be imported: 2.')).toBeVisible()
    expect(await ask(server, 'GET', `/jobs?q=round+${format}`), 'looking changes nothing').toMatchObject({ total: 0 })
    await page.getByRole('button', { name: 'Import 2', exact: true }).click()
    await expect(page.getByText('Imported jobs: 2')).toBeVisible()
    const { items } = await ask<{ items: Record<string, unknown>[] }>(server, 'GET', `/jobs?q=round+${format}&sort=id`)
    const written = (job: Record<string, unknown> | undefined) => ({ name: job?.name, description: job?.description, command: job?.command, trigger: job?.trigger })
    expect(items.map(written)).toEqual(made.map(written))

    // A second time the names are taken, and each says so.
    await page.getByRole('button', { name: 'Import and export', exact: true }).click()
    await page.getByRole('menuitem', { name: 'Import' }).click()
    await page.getByRole('textbox', { name: 'Import jobs', exact: true }).fill(text)
    await page.getByRole('button', { name: 'Check', exact: true }).click()
    await expect(page.getByText('Jobs that can be imported: 0.')).toBeVisible()
    await expect(page.getByRole('dialog')).toContainText('the name is taken')
  })
}

test('a file that is none is refused with words', async ({ page, server, watch }) => {
  watch.allowStatus(400, 422)
  await addJob(server, 'so that the list is there')
  await page.goto('/#/jobs')
  await page.getByRole('button', { name: 'Import and export', exact: true }).click()
  await page.getByRole('menuitem', { name: 'Import' }).click()
  await page.getByRole('textbox', { name: 'Import jobs', exact: true }).fill('{"jobs": [')
  await page.getByRole('button', { name: 'Check', exact: true }).click()
  await expect(page.locator('.toast.bad')).toContainText('not valid JSON')
})

test('a job shows its next fires, its runs and how long they took', async ({ page, server }) => {
  const job = await addJob(server, 'a job to look at', { trigger: { type: 'cron', cron: '0 0 4 * * *', timezone: 'Asia/Shanghai' } })
  await ranJob(server, job.id)
  await ranJob(server, job.id)
  await page.goto(`/#/jobs/${job.id}`)
  await expect(page.locator('.next li')).toHaveCount(5)
  await expect(page.locator('.next li').first()).toContainText('04:00:00')
  await expect(page.locator('.bars a')).toHaveCount(2)
  await expect(page.locator('table .badge')).toHaveText(['Success', 'Success'])
  await page.getByRole('button', { name: 'Disable', exact: true }).click()
  await expect(page.locator('.pagehead .badge')).toHaveText('Disabled')
  await expect(page.getByText('The job is disabled and does not run by itself.')).toBeVisible()
})
