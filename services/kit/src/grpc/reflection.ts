/** What the reflection service tells: the files that declare our services, so that `buf curl` and the like need no .proto. */
import { type DescFile, toBinary } from "@bufbuild/protobuf";
import { FileDescriptorProtoSchema } from "@bufbuild/protobuf/wkt";
import type { Server } from "@grpc/grpc-js";
import { ReflectionService } from "@grpc/reflection";
import type { Implementation } from "./definition.ts";

/** Adds grpc.reflection.v1 (and v1alpha) for the given services to a server. */
export function addReflection(server: Server, services: readonly Implementation[]): void {
  const files = new Set<DescFile>();
  for (const { service } of services) collectFiles(service.file, files);
  const described = {
    format: "Protocol Buffer 3 DescriptorProto",
    type: {},
    fileDescriptorProtos: [...files].map((file) =>
      Buffer.from(toBinary(FileDescriptorProtoSchema, file.proto)),
    ),
  };
  // Of a package definition the library reads nothing but the encoded files in it.
  new ReflectionService({ described } as unknown as ConstructorParameters<
    typeof ReflectionService
  >[0]).addToServer(server);
}

function collectFiles(file: DescFile, into: Set<DescFile>): void {
  if (into.has(file)) return;
  into.add(file);
  for (const dependency of file.dependencies) collectFiles(dependency, into);
}
