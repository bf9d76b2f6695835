/** What happened since the start; every refusal of the mesh ends in one of these. */
export interface MeshCounters {
  linksOpened: number;
  /** Links closed because their peer said nothing for PEER_SILENCE_MS. */
  linksSilent: number;
  /** Links refused for a foreign mesh id or an unknown protocol version. */
  linksForeign: number;
  /** Second connections to a peer, closed by the smaller id. */
  connectionsDuplicate: number;
  /** Connections whose peer is not on the allow-list. */
  connectionsDenied: number;
  /** Frames that were oversize, garbage, of an unknown kind or out of turn. Each closed its link. */
  framesBad: number;
  /** Messages that a full queue turned away. */
  sendsRefused: number;
  requestsRefused: number;
  gossipPublished: number;
  gossipDelivered: number;
  /** Not a member, bad signature, malformed. */
  gossipForged: number;
  gossipReplayed: number;
  /** Pushed out of a full queue. */
  gossipDropped: number;
  /** Links closed because gossipsub had lost its streams. */
  gossipHealed: number;
  bulkOpened: number;
  /** Bulk sockets that showed no valid ticket. */
  bulkRefused: number;
}

export function zeroCounters(): MeshCounters {
  return {
    linksOpened: 0,
    linksSilent: 0,
    linksForeign: 0,
    connectionsDuplicate: 0,
    connectionsDenied: 0,
    framesBad: 0,
    sendsRefused: 0,
    requestsRefused: 0,
    gossipPublished: 0,
    gossipDelivered: 0,
    gossipForged: 0,
    gossipReplayed: 0,
    gossipDropped: 0,
    gossipHealed: 0,
    bulkOpened: 0,
    bulkRefused: 0,
  };
}
