"""Three Apache Kafka brokers in the place of ours, so that the console's tests say the same of both.

APACHE_KAFKA_JARS names the directory of the jars of Apache Kafka 4.x; java 17 runs them."""
import os
import subprocess
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), '..', 'integration'))
import cluster

JARS = os.environ.get('APACHE_KAFKA_JARS', '')
CLUSTER_ID = '5L6g3nShT-eMCtK--X86sw'
OFTEN = {'controller.listener.names': 'CONTROLLER', 'listener.security.protocol.map': 'PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT',
         'inter.broker.listener.name': 'PLAINTEXT', 'group.initial.rebalance.delay.ms': '0'}


def java(*words):
    return ['java', '-Xmx256m', '-cp', JARS + '/*'] + list(words)


class ApacheBroker(cluster.Broker):
    def arguments(self):
        path = os.path.join(self.root, 'server.properties')
        settings = dict(OFTEN, **dict(setting.split('=', 1) for setting in self.settings))
        settings['log.dirs'] = self.data
        with open(path, 'w') as file:
            file.writelines('%s=%s\n' % pair for pair in settings.items())
        if self.starts == 1:
            subprocess.run(java('kafka.tools.StorageTool', 'format', '-t', CLUSTER_ID, '-c', path), check=True,
                           capture_output=True)
        return java('kafka.Kafka', path)

    def wait_ready(self, seconds=60):
        end = time.monotonic() + seconds
        while 'Kafka Server started' not in self.out() + self.log():
            if self.process.poll() is not None or time.monotonic() > end:
                raise AssertionError('Apache Kafka did not start:\n' + self.out()[-4000:])
            time.sleep(0.1)


class ApacheCluster(cluster.Cluster):
    broker_type = ApacheBroker
