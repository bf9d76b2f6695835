import { type YamuxMuxerInit, yamux } from '@chainsafe/libp2p-yamux';
import type { YamuxStream } from '@chainsafe/libp2p-yamux/stream';
import type { Stream, StreamMuxerFactory } from '@libp2p/interface';

type Yamux = ReturnType<typeof yamux>;

/** What a stream knows of its receive window; private in its type, though every muxer of this protocol has it. */
interface ReceiveWindow {
  /** Bytes of a full window, and those of it that the peer may still send. */
  readonly recvWindow: number;
  readonly recvWindowCapacity: number;
}

/**
 * yamux, but a window is given back when half of it is used up, as in Go's yamux, and not after every chunk that was
 * read. An update is a TLS record, a write, and a wake-up of the peer: as much as the message that it answers.
 */
export function sparingYamux(init: YamuxMuxerInit): Yamux {
  const create = yamux(init);
  return (components) => {
    const factory = create(components);
    return {
      protocol: factory.protocol,
      createStreamMuxer: (muxerInit) => createMuxer(factory, muxerInit),
    };
  };
}

function createMuxer(
  factory: StreamMuxerFactory,
  init: Parameters<StreamMuxerFactory['createStreamMuxer']>[0],
): ReturnType<StreamMuxerFactory['createStreamMuxer']> {
  const muxer = factory.createStreamMuxer({
    ...init,
    onIncomingStream: (stream) => {
      spare(stream);
      init?.onIncomingStream?.(stream);
    },
  });
  const newStream = muxer.newStream.bind(muxer);
  muxer.newStream = async (name) => {
    const stream = await newStream(name);
    spare(stream);
    return stream;
  };
  return muxer;
}

function spare(muxed: Stream): void {
  const stream = muxed as YamuxStream;
  const window = muxed as unknown as ReceiveWindow;
  const update = stream.sendWindowUpdate.bind(stream);
  let answered = stream.direction === 'outbound';
  stream.sendWindowUpdate = () => {
    // The first one of a stream that came in is the acknowledgement that it is open.
    if (answered && window.recvWindowCapacity > window.recvWindow / 2) return;
    answered = true;
    update();
  };
}
