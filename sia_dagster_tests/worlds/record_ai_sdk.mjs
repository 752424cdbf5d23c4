// Makes the recordings `forms/ai_sdk_<major>.jsonl`: the AI SDK of Vercel with the models that it has for tests, its
// spans as OTLP JSON. The calls are those of record_otel.py: settings, an offered tool and its result, a stream, a
// refusal.
//
// In a folder with `npm install ai@6 zod @opentelemetry/api @opentelemetry/sdk-trace-base @opentelemetry/otlp-transformer`
// (`@ai-sdk/otel` too for version 7):
//
//     node record_ai_sdk.mjs <that folder>/ > ai_sdk_6.jsonl
//
// Recorded with ai 4.3.19, 5.0.277, 6.0.326, and 7.0.173 with @ai-sdk/otel 1.0.173.
import { createRequire } from 'module';

const require = createRequire(process.argv[2]);
const load = (name) => import(require.resolve(name));
const ai = await load('ai');
const test = await load('ai/test');
const { z } = require('zod');
const { BasicTracerProvider, SimpleSpanProcessor, InMemorySpanExporter } = require('@opentelemetry/sdk-trace-base');
const { JsonTraceSerializer } = require('@opentelemetry/otlp-transformer');

const Model = test.MockLanguageModelV4 ?? test.MockLanguageModelV3 ?? test.MockLanguageModelV2 ?? test.MockLanguageModelV1;
const version = { MockLanguageModelV4: 7, MockLanguageModelV3: 6, MockLanguageModelV2: 5, MockLanguageModelV1: 4 }[Model.name];
const first = version === 4;
const memory = new InMemorySpanExporter();
const provider = new BasicTracerProvider({ spanProcessors: [new SimpleSpanProcessor(memory)] });
const tracer = provider.getTracer('ai');

const usage = first
  ? { promptTokens: 21, completionTokens: 7 }
  : version === 5
    ? { inputTokens: 21, outputTokens: 7, totalTokens: 28 }
    : { inputTokens: { total: 21, noCache: 21 }, outputTokens: { total: 7, text: 7 } };
const reason = (text) => (version > 5 ? { unified: text, raw: text } : text);
const raw = { rawCall: { rawPrompt: null, rawSettings: {} } };
const call = { toolCallId: 'call_1', toolName: 'weather' };
const input = '{"city":"Ulm"}';

function answer(calls) {
  const found = { finishReason: reason(calls ? 'tool-calls' : 'stop'), usage, warnings: [], ...raw };
  const text = 'It is sunny in Ulm.';
  if (first) return { ...found, ...(calls ? { toolCalls: [{ toolCallType: 'function', ...call, args: input }] } : { text }) };
  return { ...found, content: [calls ? { type: 'tool-call', ...call, input } : { type: 'text', text }] };
}

function stream() {
  const halves = ['It is sunny ', 'in Ulm.'];
  const end = { type: 'finish', finishReason: reason('stop'), usage };
  const parts = first
    ? [...halves.map((textDelta) => ({ type: 'text-delta', textDelta })), end]
    : [{ type: 'stream-start', warnings: [] }, { type: 'text-start', id: '1' },
       ...halves.map((delta) => ({ type: 'text-delta', id: '1', delta })), { type: 'text-end', id: '1' }, end];
  return new ReadableStream({ start: (controller) => { parts.forEach((part) => controller.enqueue(part)); controller.close(); } });
}

const model = new Model({
  modelId: 'gpt-4o-mini',
  provider: 'openai.chat',
  doGenerate: async (options) => {
    const offered = (options.tools ?? options.mode?.tools ?? []).length > 0;
    return answer(offered && !JSON.stringify(options.prompt).includes('"role":"tool"'));
  },
  doStream: async () => ({ ...raw, stream: stream() }),
});
const missing = new Model({ modelId: 'missing', provider: 'openai.chat', doGenerate: async () => { throw new Error('The model does not exist'); } });

const telemetry = { isEnabled: true, tracer, metadata: { sessionId: 's-1', userId: 'u-1' } };
if (version === 7) telemetry.integrations = [new (await load('@ai-sdk/otel')).OpenTelemetry({ tracer })];
const common = { system: 'You tell the weather.', [version === 7 ? 'telemetry' : 'experimental_telemetry']: telemetry };
const settings = { temperature: 0.2, [first ? 'maxTokens' : 'maxOutputTokens']: 100 };
const steps = first ? { maxSteps: 3 } : { stopWhen: (ai.stepCountIs ?? ai.isStepCount)(3) };
const weather = ai.tool({
  description: 'The weather of a city.',
  [first ? 'parameters' : 'inputSchema']: z.object({ city: z.string() }),
  execute: async () => 'sunny',
});
const prompt = 'What is the weather in Ulm?';

await ai.generateText({ model, ...common, ...settings, prompt });
await ai.generateText({ model, ...common, ...steps, prompt, tools: { weather } });
for await (const _ of ai.streamText({ model, ...common, prompt }).textStream);
await ai.generateText({ model: missing, ...common, prompt, maxRetries: 0 }).catch(() => undefined);

const spans = memory.getFinishedSpans();
const line = Buffer.from(JsonTraceSerializer.serializeRequest(spans)).toString();
const ids = new Map();
let nanoseconds = 1794211200000000000n;
const fixed = line
  .replace(/"(traceId|spanId|parentSpanId)":"([0-9a-f]+)"/g, (_, key, id) => {
    if (!ids.has(id)) ids.set(id, (ids.size + 1).toString(16).padStart(id.length, '0'));
    return `"${key}":"${ids.get(id)}"`;
  })
  .replace(/"\w+UnixNano":"\d+"/g, (found) => found.replace(/\d+/, () => String((nanoseconds += 500000000n))))
  .replace(/20\d\d-\d\d-\d\dT[\d:.]+Z/g, '2026-11-09T08:00:00.000Z')
  .replace(/"(aitxt|aiobj|msg|call|step|op)-\w+"/g, '"$1-1"')
  .replace(/("key":"[\w.]*(?:ms[A-Z]\w*|avg\w*|duration|time_\w+)","value":\{"\w+":)[\d.]+/g, '$11')
  .replace(/("key":"exception.stacktrace","value":\{"stringValue":)"(?:[^"\\]|\\.)*"/g, '$1"Error: ..."');
process.stdout.write(`${fixed}\n`);
