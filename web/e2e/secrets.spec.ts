// Secrets of jobs: kept, used, replaced, deleted; and put into a text by the editor. Their values are shown
// nowhere.
import { barriers } from './axe'
import { addJob, ask, ranJob } from './api'
import { expect, test, type Page } from './base'
import { startServer } from './server'

const MARKUP = '<img src=x onerror=window.pwned=1>'

async function add(page: Page, name: string, value: string, description = '') {
  await page.getByRole('button', { name: 'Add secret', exact: true }).click()
  const dialog = page.getByRole('dialog')
  await dialog.getByLabel('Name').fill(name)
  await dialog.getByLabel('Value').fill(value)
  await dialog.getByLabel('Description').fill(description)
  await dialog.getByRole('button', { name: 'Add', exact: true }).click()
}

test('a secret is kept, used, replaced and deleted, and never shown', async ({ page, server, watch }) => {
  watch.allowStatus(422)
  const answers: string[] = []
  page.on('response', async (answer) => {
    if (answer.url().includes('/api/v1/')) answers.push(await answer.text().catch(() => ''))
  })
  await page.goto('/#/settings')
  await page.getByRole('navigation', { name: 'Settings', exact: true }).getByRole('link', { name: 'Secrets', exact: true }).click()
  await expect(page).toHaveTitle('Secrets · TimerJobs')
  await expect(page.getByText('No secrets yet')).toBeVisible()
  await add(page, 'GREETING', 'abc', `${MARKUP} words`)
  const dialog = page.getByRole('dialog')
  await expect(dialog.getByLabel('Value')).toBeFocused()
  await expect(dialog.locator('.error')).toContainText('4 to 32768 bytes')
  for (const theme of ['light', 'dark'] as const) {
    await page.emulateMedia({ colorScheme: theme })
    await expect(page.locator('html')).toHaveAttribute('data-theme', theme)
    expect(await barriers(page), theme).toEqual([])
  }
  await dialog.getByLabel('Value').fill('hunter-one')
  await dialog.getByRole('button', { name: 'Add', exact: true }).click()
  await expect(dialog).toHaveCount(0)
  const row = page.getByRole('row', { name: /GREETING/ })
  await expect(row).toContainText(`${MARKUP} words`)

  const job = await addJob(server, 'greets', { command: '【command】echo "it is ${secret:GREETING}"; printf %s "${secret:GREETING}" | tr a-z b-za' })
  // As it is it is masked; each letter's next tells which it was.
  const printed = async () => (await ask<{ stdout: string }>(server, 'GET', `/runs/${await ranJob(server, job.id)}`)).stdout
  expect(await printed()).toBe('it is ***\nivoufs-pof')
  await page.reload()
  // What leads to the jobs finds them.
  await row.getByRole('link', { name: 'Jobs that use it: 1', exact: true }).click()
  await expect(page.getByRole('link', { name: 'greets', exact: true })).toBeVisible()
  await page.goBack()

  // The name that is there is not given another value by the way.
  await add(page, 'GREETING', 'hunter-two')
  await expect(dialog.locator('.error')).toContainText('one of this name already')
  await page.keyboard.press('Escape')
  expect(await printed()).toBe('it is ***\nivoufs-pof')

  await row.getByRole('button', { name: 'Change GREETING', exact: true }).click()
  await expect(dialog.getByLabel('Value'), 'the old value is not here').toHaveValue('')
  await expect(dialog).toContainText('never shown again')
  // Without a value only the words change.
  await dialog.getByLabel('Description').fill('new words')
  await dialog.getByRole('button', { name: 'Save', exact: true }).click()
  await expect(row).toContainText('new words')
  expect(await printed()).toBe('it is ***\nivoufs-pof')
  await row.getByRole('button', { name: 'Change GREETING', exact: true }).click()
  await dialog.getByLabel('Value').fill('hunter-two')
  await dialog.getByRole('button', { name: 'Save', exact: true }).click()
  await expect(dialog).toHaveCount(0)
  expect(await printed()).toBe('it is ***\nivoufs-uxp')

  await row.getByRole('button', { name: /^Delete secret/ }).click()
  const question = page.getByRole('alertdialog')
  await expect(question).toContainText('Jobs that use it: 1')
  await question.getByRole('button', { name: 'Cancel', exact: true }).click()
  await expect(row).toBeVisible()
  await row.getByRole('button', { name: /^Delete secret/ }).click()
  await question.getByRole('button', { name: 'Delete', exact: true }).click()
  await expect(page.getByText('No secrets yet')).toBeVisible()
  await page.goto(`/#/jobs/${job.id}/edit`)
  await expect(page.locator('.aside .note.warn')).toContainText('GREETING')
  expect(answers.some((text) => text.includes('GREETING'))).toBe(true)
  expect(answers.filter((text) => /hunter-(one|two)/.test(text))).toEqual([])
})

test('a job that uses a secret since the page was read is told before it goes', async ({ page, server, watch }) => {
  watch.allowStatus(409)
  await ask(server, 'PUT', '/secrets/LATE', { value: 'hunter-late' })
  await page.goto('/#/settings/secrets')
  const row = page.getByRole('row', { name: /LATE/ })
  await expect(row).toBeVisible()
  await addJob(server, 'uses it late', { command: '【command】echo ${secret:LATE}' })
  await row.getByRole('button', { name: /^Delete secret/ }).click()
  const question = page.getByRole('alertdialog')
  await expect(question).toContainText('No job uses it')
  await question.getByRole('button', { name: 'Delete', exact: true }).click()
  await expect(question).toContainText('1 job')
  await question.getByRole('button', { name: 'Do it all the same', exact: true }).click()
  await expect(row).toHaveCount(0)
})

test('the editor puts a secret where the cursor is', async ({ page, server, watch }) => {
  watch.allowStatus(422)
  await ask(server, 'PUT', '/secrets/API_KEY', { value: 'hunter-key' })
  const insert = async () => {
    await page.getByRole('button', { name: 'Insert secret', exact: true }).click()
    await page.getByRole('menuitem', { name: 'API_KEY', exact: true }).click()
  }
  await page.goto('/#/jobs/new')
  await page.getByRole('radio', { name: /^HTTP request/ }).check({ force: true })
  const address = page.getByRole('textbox', { name: 'URL', exact: true })
  await address.fill('https://example.com/?key=&x=1')
  await address.focus()
  for (let n = 0; n < 4; n++) await page.keyboard.press('ArrowLeft')
  await insert()
  await expect(address).toHaveValue('https://example.com/?key=${secret:API_KEY}&x=1')
  // One goes on typing behind it.
  await expect(address).toBeFocused()
  await page.keyboard.type('!')
  await expect(address).toHaveValue('https://example.com/?key=${secret:API_KEY}!&x=1')

  await page.getByRole('button', { name: 'Add header', exact: true }).click()
  await page.getByLabel('Headers 1: Name').fill('X-Key')
  await page.getByLabel('Headers 1: Value').fill('Bearer old')
  await page.getByLabel('Headers 1: Value').press('Home')
  for (let n = 0; n < 7; n++) await page.keyboard.press('ArrowRight')
  await page.keyboard.press('Shift+End')
  // By the keyboard alone, in place of what is selected.
  await page.getByRole('button', { name: 'Insert secret', exact: true }).press('Enter')
  await expect(page.getByRole('menuitem', { name: 'API_KEY', exact: true })).toBeVisible()
  await page.getByRole('menuitem', { name: 'API_KEY', exact: true }).press('Enter')
  await expect(page.getByLabel('Headers 1: Value')).toHaveValue('Bearer ${secret:API_KEY}')
  // A field that takes none is not where it goes.
  await page.getByLabel('Timeout (seconds)').focus()
  await insert()
  await expect(page.getByLabel('Headers 1: Value')).toHaveValue('Bearer ${secret:API_KEY}${secret:API_KEY}')
  await page.getByRole('button', { name: '【】 text', exact: true }).click()
  const text = page.getByRole('textbox', { name: '【】 text', exact: true })
  await expect(text).toHaveValue('【url】https://example.com/?key=${secret:API_KEY}!&x=1\n【headers】X-Key:Bearer ${secret:API_KEY}${secret:API_KEY}')
  await text.fill('')
  await insert()
  await expect(text).toHaveValue('${secret:API_KEY}')
})

test('limits of a command are folded away until there are any', async ({ page, watch }) => {
  watch.allowStatus(422)
  await page.goto('/#/jobs/new')
  await page.getByRole('radio', { name: /^Shell command/ }).check({ force: true })
  await page.getByRole('textbox', { name: 'Command', exact: true }).fill('make')
  const fold = page.getByText('User and limits')
  await expect(page.getByLabel('Memory')).toBeHidden()
  await fold.press('Enter')
  await page.getByLabel('Memory').fill('512M')
  await page.getByLabel('CPU time').fill('60')
  await page.getByRole('button', { name: '【】 text', exact: true }).click()
  const text = page.getByRole('textbox', { name: '【】 text', exact: true })
  await expect(text).toHaveValue('【command】make\n【memory】512M\n【cpu】60')
  await text.fill('【command】make\n【user】nobody\n【files】256')
  await page.getByRole('button', { name: 'Form', exact: true }).click()
  await expect(page.getByLabel('User', { exact: true })).toHaveValue('nobody')
  await expect(page.getByLabel('Open files')).toHaveValue('256')
  await expect(page.getByLabel('Memory')).toHaveValue('')
})

test('only admins are offered secrets', async ({ page, watch }) => {
  const server = await startServer()
  watch.allowOrigin(server.url)
  for (const [username, role] of [['me', 'admin'], ['guest', 'operator']]) {
    expect((await page.request.post(`${server.url}/api/v1/accounts`, { data: { username, password: 'correct horse', role } })).status()).toBe(201)
  }
  await page.request.post(`${server.url}/api/v1/session`, { data: { username: 'guest', password: 'correct horse' } })
  watch.allowStatus(403)
  await page.goto(`${server.url}/#/settings/secrets`)
  await expect(page.getByRole('heading', { name: 'This could not be loaded', exact: true })).toBeVisible()
  await page.goto(`${server.url}/#/jobs/new`)
  await expect(page.getByRole('textbox', { name: 'URL', exact: true })).toBeVisible()
  await expect(page.getByRole('button', { name: 'Insert secret', exact: true })).toHaveCount(0)
  await page.goto('about:blank')
  await server.stop()
})
