/** What the object store refuses, and what it can't do. The S3 side maps each to a code. */

export abstract class StorageError extends Error {}

export class NoSuchBucketError extends StorageError {
  override readonly name = 'NoSuchBucketError'
  constructor() {
    super('the bucket does not exist')
  }
}

export class BucketExistsError extends StorageError {
  override readonly name = 'BucketExistsError'
  constructor() {
    super('the bucket exists')
  }
}

export class BucketNotEmptyError extends StorageError {
  override readonly name = 'BucketNotEmptyError'
  constructor() {
    super('the bucket is not empty')
  }
}

export class NoSuchKeyError extends StorageError {
  override readonly name = 'NoSuchKeyError'
  constructor() {
    super('the object does not exist')
  }
}

export class NoSuchUploadError extends StorageError {
  override readonly name = 'NoSuchUploadError'
  constructor() {
    super('the upload does not exist: it may have been completed or aborted')
  }
}

export class InvalidPartError extends StorageError {
  override readonly name = 'InvalidPartError'
  readonly number: number
  constructor(number: number) {
    super(`part ${number} does not exist, or has another ETag`)
    this.number = number
  }
}

/** Somebody else changed the object in between. */
export class ObjectChangedError extends StorageError {
  override readonly name = 'ObjectChangedError'
  constructor() {
    super('the object was changed meanwhile')
  }
}

/** There is no room for what was to be written. Nothing of it remains. */
export class DiskFullError extends StorageError {
  override readonly name = 'DiskFullError'
  constructor(options?: ErrorOptions) {
    super('the disk is full', options)
  }
}

/** The content of one object is not as it was written, or gone. */
export class DataDamagedError extends StorageError {
  override readonly name = 'DataDamagedError'
  constructor(problem: string, options?: ErrorOptions) {
    super(`the stored data is damaged: ${problem}`, options)
  }
}

/** The index can't be read or is not of this node. `fsck` makes it anew from the files. */
export class IndexDamagedError extends StorageError {
  override readonly name = 'IndexDamagedError'
  constructor(problem: string, options?: ErrorOptions) {
    super(`the index is damaged: ${problem}; fsck makes it anew from the files`, options)
  }
}

/** Another process serves the folder, or repairs it. */
export class DataFolderLockedError extends StorageError {
  override readonly name = 'DataFolderLockedError'
  constructor(folder: string) {
    super(`the data folder '${folder}' is in use by another process`)
  }
}

/** The folder is not one of this program's, and not empty either. */
export class NotADataFolderError extends StorageError {
  override readonly name = 'NotADataFolderError'
  constructor(folder: string, problem: string) {
    super(`'${folder}' is no data folder of a node: ${problem}`)
  }
}
