// kafkajs going on while brokers die: an idempotent acks=all producer of the numbers 0..COUNT-1, number N to partition N
// modulo 3, and a member of a group that commits what it got, until it got all.
//   going.js BROKERS TOPIC GROUP COUNT PER_SECOND
const { Kafka, logLevel } = require('kafkajs')

const [brokers, topic, groupId, COUNT, PER_SECOND] = process.argv.slice(2)
const count = Number(COUNT), perSecond = Number(PER_SECOND)
const kafka = new Kafka({ clientId: 'going', brokers: brokers.split(','), logLevel: logLevel.NOTHING, retry: { retries: 30, maxRetryTime: 2000 } })
const sleep = ms => new Promise(resolve => setTimeout(resolve, ms))

async function main () {
  const seen = new Set()
  let got = 0
  const began = Date.now()
  const consumer = kafka.consumer({ groupId })
  await consumer.connect()
  await consumer.subscribe({ topics: [topic], fromBeginning: true })
  await consumer.run({
    autoCommitThreshold: 200,
    eachMessage: async ({ message }) => { seen.add(Number(message.value)); got++ }
  })
  const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 })
  await producer.connect()
  for (let next = 0; next < count;) {
    const due = Math.min(count, (Date.now() - began) * perSecond / 1000)
    const messages = [[], [], []]
    for (; next < due; next++) messages[next % 3].push({ partition: next % 3, value: `${next}` })
    // A send a partition. What one send has for several brokers is remembered by broker: when a partition moves to one
    // that has answered already, its messages are not sent again, and are lost (src/producer/sendMessages.js).
    for (const batch of messages) if (batch.length) await producer.send({ topic, messages: batch, acks: -1 })
    await sleep(20)
  }
  while (seen.size < count) {
    if (Date.now() - began > 90000) throw new Error(`${seen.size} after 90 s`)
    await sleep(50)
  }
  await consumer.disconnect()
  await producer.disconnect()
  console.log(`${count} numbers, ${got} read by the group`)
}
main().then(() => process.exit(0), error => { console.error(error); process.exit(1) })
