// Writes log entries and metrics as lines to a stream of the process or to a file.

import { defineAdapter, type Handler } from '../../adapter-kit/define-adapter.ts'
import { type Level, LEVELS, stdioConfig } from './config.ts'
import { levelOf, logLine, metricLine, renderLine } from './format.ts'
import { openOutput } from './output.ts'

export default defineAdapter({
  name: 'stdio',
  description: 'Writes log entries and metrics to standard output, standard error or a file',
  templates: ['logentry', 'metric'],
  config: stdioConfig,
  doesIo: true,
  validate({ logStream, outputPath }) {
    const toFile = logStream === 'FILE' || logStream === 'ROTATED_FILE'
    if (toFile && outputPath === '') return [{ path: ['outputPath'], message: `must name the file for ${logStream}` }]
    if (!toFile && outputPath !== '') {
      return [{ path: ['outputPath'], message: `has no effect with ${logStream}; use FILE or ROTATED_FILE` }]
    }
    return []
  },
  create(config, { clock }): Handler {
    const output = openOutput(config)
    const isShown = (level: Level) => LEVELS.indexOf(level) >= LEVELS.indexOf(config.outputLevel)
    const write = async (lines: readonly ReturnType<typeof logLine>[]) => {
      const text = lines.filter(({ level }) => isShown(level)).map((line) => renderLine(line, config.outputAsJson))
      if (text.length > 0) await output.write(text.join(''), clock.now())
    }
    return {
      report: {
        logentry: (instances) =>
          write(
            instances.map((entry) =>
              logLine(entry, levelOf(entry.fields.severity, config.severityLevels), clock.now()),
            ),
          ),
        metric: (instances) => write(instances.map((entry) => metricLine(entry, config.metricLevel, clock.now()))),
      },
    }
  },
})
