// kafkajs: create, produce, consume in a group, commit, look, delete.
const { Kafka, CompressionTypes, logLevel } = require('kafkajs')
const assert = require('assert')

const [address] = process.argv.slice(2)
const TOPIC = 'interop-kafkajs', GROUP = 'group-kafkajs', COUNT = 600
const kafka = new Kafka({ clientId: 'interop', brokers: [address], logLevel: logLevel.ERROR })

async function consume (expected, quietMs) {
  const consumer = kafka.consumer({ groupId: GROUP })
  const got = []
  await consumer.connect()
  await consumer.subscribe({ topics: [TOPIC], fromBeginning: true })
  await new Promise((resolve, reject) => {
    const timer = setTimeout(() => expected ? reject(new Error(`only ${got.length} records`)) : resolve(), quietMs)
    consumer.run({
      eachMessage: async ({ message }) => {
        got.push(message)
        if (expected && got.length === expected) { clearTimeout(timer); setTimeout(resolve, 300) }
      }
    }).catch(reject)
  })
  await consumer.disconnect()
  return got
}

async function main () {
  const admin = kafka.admin()
  await admin.connect()
  assert(await admin.createTopics({ topics: [{ topic: TOPIC, numPartitions: 3, replicationFactor: 1 }] }))
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let i = 0; i < COUNT; i += 50) {
    const messages = []
    for (let j = i; j < i + 50; j++) messages.push({ key: `k${j % 7}`, value: `${j}`, headers: { n: `${j}` } })
    await producer.send({ topic: TOPIC, messages, compression: i % 100 ? CompressionTypes.GZIP : CompressionTypes.None })
  }
  await producer.disconnect()
  const got = await consume(COUNT, 60000)
  assert.strictEqual(got.length, COUNT)
  const order = {}
  for (const message of got) {
    const n = Number(message.value)
    assert.strictEqual(String(message.headers.n), String(n))
    assert((order[message.key] ?? -1) < n)
    order[message.key] = n
  }
  const [{ partitions }] = await admin.fetchOffsets({ groupId: GROUP, topics: [TOPIC] })
  assert.strictEqual(partitions.reduce((sum, p) => sum + Number(p.offset), 0), COUNT)
  assert((await admin.listGroups()).groups.some(g => g.groupId === GROUP))
  assert.strictEqual((await admin.describeGroups([GROUP])).groups[0].state, 'Empty')
  assert.strictEqual((await consume(0, 6000)).length, 0)
  await admin.deleteGroups([GROUP])
  await admin.deleteTopics({ topics: [TOPIC] })
  await admin.disconnect()
  console.log('OK')
}
main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })
