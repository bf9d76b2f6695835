/** All of the mesh group's replicated state, and how its rows become it again. */
import type { ApplicationRecord } from '../../../src/model/application.ts';
import type { MeshSettings } from '../../../src/model/commands.ts';
import type { Allotment } from '../../../src/model/machine.ts';
import type { GroupRecord, JobScheduleEntity } from '../../../src/model/queries.ts';
import { decode } from '../../../src/wire/codec.ts';
import { Allotments } from './allotments.ts';
import { Applications } from './applications.ts';
import type { BlobRow } from './blobs.ts';
import { Blobs } from './blobs.ts';
import { Contents } from './contents.ts';
import { Counters } from './counters.ts';
import { Directory } from './directory.ts';
import { Groups } from './groups.ts';
import type { Member } from './members.ts';
import { Members } from './members.ts';
import type { PoolRecord } from './pools.ts';
import { Pools } from './pools.ts';
import { Requests } from './requests.ts';
import { Schedules } from './schedules.ts';
import type { Token } from './tokens.ts';
import { Tokens } from './tokens.ts';

export class MeshState {
  /** Undefined before `mesh.init`. */
  settings: MeshSettings | undefined;
  readonly counters = new Counters();
  readonly members = new Members();
  readonly tokens = new Tokens();
  readonly pools = new Pools();
  readonly allotments = new Allotments();
  readonly groups = new Groups();
  readonly directory = new Directory();
  readonly schedules = new Schedules();
  readonly contents = new Contents(this.members);
  readonly blobs = new Blobs(this.contents, this.counters);
  readonly applications = new Applications(this.contents, this.pools);
  readonly requests: Requests;

  constructor(requestIdsKept?: number) {
    this.requests = new Requests(requestIdsKept);
  }

  /** One row in. The casts rest on the store's checksums: a row that passes them is one that this code wrote. */
  load(key: string, value: Uint8Array): void {
    const row = decode(value);
    switch (key[0]) {
      case 'a':
        this.allotments.load(row as Allotment);
        break;
      case 'b':
        this.blobs.loadBlob(key, row as BlobRow);
        break;
      case 'c':
        this.blobs.loadContainer(row as Parameters<Blobs['loadContainer']>[0]);
        break;
      case 'd':
        this.directory.load(row as Parameters<Directory['load']>[0]);
        break;
      case 'g':
        this.groups.load(row as GroupRecord);
        break;
      case 'h':
        this.contents.load(row as Parameters<Contents['load']>[0]);
        break;
      case 'j':
        this.schedules.load(row as JobScheduleEntity);
        break;
      case 'k':
        this.counters.load(row as Parameters<Counters['load']>[0]);
        break;
      case 'm':
        this.members.load(row as Member);
        break;
      case 'p':
        this.pools.load(row as PoolRecord);
        break;
      case 'q':
        this.requests.load(row as Parameters<Requests['load']>[0]);
        break;
      case 's':
        this.settings = row as MeshSettings;
        break;
      case 't':
        this.tokens.load(row as Token);
        break;
      case 'x':
        this.blobs.loadDying(row as { number: number });
        break;
      case 'y':
        this.applications.load(row as ApplicationRecord);
        break;
      default:
        throw new Error(`a row of the mesh group has the unknown key ${JSON.stringify(key)}`);
    }
  }
}
