// Copies by Node itself, for comparison: reads [[src, dest, options], …] and answers [error or null, …].
import fs from 'node:fs'
const answers = []
for (const [src, dest, options] of JSON.parse(fs.readFileSync(0, 'utf8'))) {
  try {
    await fs.promises.cp(src, dest, options)
    answers.push(null)
  } catch (error) {
    answers.push({ code: error.code, message: error.message, display: String(error) })
  }
}
console.log(JSON.stringify(answers))
