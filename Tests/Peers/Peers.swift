// Support for the tests. Nothing here imports Fin, because an oracle must share no code with what it judges.
//
// Threads and time    onThread, Joining, eventually, Deadline, Monitor
// Permissions, tools  Rights, Programs
// Networks            NetworkNamespace, RouteRequest, TunDevice, LossyLink, Weather, DueQueue
// A hand-made peer    RawPeer, Behaviour, Conversation, Segment, SegmentLog
// Plain programs      PlainSocket, Child
// Kernel state        KernelView, KernelSocket, OpenDescriptor
