// Planted: policy reaches up to a front door, out to gRPC, into tests, to one template, and to a file that does not exist.
import { Server } from '@grpc/grpc-js'
import { quota } from '../adapter-kit/templates/quota.ts'
import { door } from '../server/door.ts'
import { probe } from '../../test/probe.ts'
// @ts-expect-error -- the file is missing on purpose
import { nowhere } from './missing.ts'

export const reach = [Server, quota, door, probe, nowhere]
