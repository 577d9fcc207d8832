// What tests stand on. Nothing here imports Fin: an oracle that shares code with what it judges judges nothing.
//
// Threads and time    onThread, Joining, eventually, Deadline, Monitor
// What may run here   Rights, Programs
// Networks            NetworkNamespace, RouteRequest, TunDevice, LossyLink, Weather, DueQueue
// A hand-made peer    RawPeer, Behaviour, Conversation, Segment, SegmentLog
// Plain programs      PlainSocket, Child
// The kernel's word   KernelView, KernelSocket, OpenDescriptor
